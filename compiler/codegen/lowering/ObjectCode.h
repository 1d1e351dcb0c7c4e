// Kernels in func, scf, arith, math, vector and llvm → object code.
#pragma once

#include "compiler/codegen/lowering/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace rtorch::codegen {

/// Registers the dialects that kernels are written in (func, scf, cf, arith, math,
/// vector, ub, llvm) and their translation to LLVM IR.
void registerKernelDialects(mlir::DialectRegistry &registry);

/// What to produce besides the object.
struct EmitOptions {
  bool llvmText = false;     ///< LLVM IR after the LLVM passes
  bool assemblyText = false; ///< assembly, by a second run of code generation
  /// Verify the IR at each border; for tests and debugging (slower).
  bool verify = false;
};

/// Milliseconds spent in each phase.
struct PhaseTimes {
  double math = 0;       ///< expansion of math functions
  double conversion = 0; ///< to the llvm dialect
  double translation = 0;
  double optimization = 0; ///< LLVM passes
  double codegen = 0;
  double total() const {
    return math + conversion + translation + optimization + codegen;
  }
};

/// A relocatable ELF object that imports no symbol.
struct ObjectCode {
  std::string object;
  std::string llvmText;     ///< empty unless asked for
  std::string assemblyText; ///< empty unless asked for
  PhaseTimes times;
};

/// Expands math functions for `target` and converts every op of `module` to the llvm
/// dialect. Private functions get internal linkage. The error holds the diagnostics.
llvm::Error lowerToLlvm(mlir::ModuleOp module, const Target &target,
                        PhaseTimes *times = nullptr);

/// Compiles modules for one target. Threads need one each, and an MLIRContext each.
class ObjectCompiler {
public:
  static llvm::Expected<ObjectCompiler> create(const Target &target);
  ObjectCompiler(ObjectCompiler &&) noexcept;
  ObjectCompiler &operator=(ObjectCompiler &&) noexcept;
  ~ObjectCompiler();

  const Target &target() const { return target_; }

  /// Compiles `module`, which is lowered in place. Its context must have the dialects
  /// of registerKernelDialects. Fails if the code would import a symbol (the message
  /// names it), or with the diagnostics of the phase that failed.
  llvm::Expected<ObjectCode> compile(mlir::ModuleOp module,
                                     const EmitOptions &options = {});

private:
  ObjectCompiler(Target target, std::unique_ptr<llvm::TargetMachine> machine);

  Target target_;
  std::unique_ptr<llvm::TargetMachine> machine_;
};

} // namespace rtorch::codegen
