// All kernels of a module → objects, on all cores.
#pragma once

#include "compiler/codegen/kernel/KernelFunction.h"
#include "compiler/codegen/lowering/ObjectCode.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <map>

namespace rtorch::emit {

/// One of an error site's facts: which op of the kernel's body it is (see
/// OutlinedKernel::locations).
struct KernelSite {
  std::string message;
  size_t op = 0;
};

struct CompiledKernel {
  std::string name;                // of the rt.kernel
  std::string symbol;              // in the object
  layout::Expr grid, scratchBytes; // over the kernel's symbols
  std::vector<KernelSite> sites;
  std::string mlirText; // empty unless asked for
  codegen::ObjectCode code;
  double emitMs = 0;
  bool cached = false; // found in the cache
};

class KernelCache;

struct CompileOptions {
  bool mlirText = false;
  codegen::EmitOptions emit;
  std::string symbolPrefix = "rtk_";  // of the functions in the object
  unsigned threads = 0;               // 0: as many as the process may run on
  const KernelCache *cache = nullptr; // of kernels compiled before
  /// Called after each kernel, by one thread at a time; may be empty.
  std::function<void(size_t done, size_t total)> progress = {};
};

/// Compiles every rt.kernel of `module` for `target`, in the module's order. Kernels
/// are independent, so they are compiled side by side, each thread with a context of
/// its own.
llvm::Expected<std::vector<CompiledKernel>>
compileKernels(mlir::ModuleOp module, const codegen::Target &target,
               const CompileOptions &options);

/// An object without code, for programs that only give views of what they got.
llvm::Expected<std::string> emptyObject(const codegen::Target &target);

} // namespace rtorch::emit
