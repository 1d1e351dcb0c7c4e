// A scheduled module and its kernels → manifest and constants of a module file.
#pragma once

#include "compiler/codegen/lowering/Target.h"
#include "compiler/emit/CompileKernels.h"
#include "runtime/format/Manifest.h"

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace rtorch::emit {

/// The bytes of the model's storage with that number.
using StorageBytes = std::function<std::span<const std::byte>(int64_t storage)>;

/// Where a constant's bytes come from: the model's storage, or a weight to be packed.
struct ConstantSource {
  int64_t storage = 0;
  bool packed = false;
  // Packed only: the [k, n] matrix within the storage.
  int64_t elementBytes = 0, columns = 0, k = 0, n = 0;
  int64_t offset = 0, rowStride = 0, columnStride = 0; // elements
};

/// What a module without its weights leaves to the load.
struct ExternalWeights {
  struct Weight {
    std::string name;
    int64_t storage = 0;
    format::DType dtype = format::DType::F32;
    std::vector<int64_t> sizes, strides;
    int64_t offset = 0; // elements
  };
  std::vector<Weight> weights;
  /// Computes what depends on weights alone, as kernels and launches; null for nothing.
  mlir::ModuleOp init;
  std::vector<CompiledKernel> initKernels;
  /// The storages, in the numbers of the program, that the results of `init` fill.
  std::vector<int64_t> initStorages;
};

struct BuiltModule {
  format::Manifest manifest;
  std::vector<ConstantSource> constants; // one per manifest.constants; of those in the
                                         // file only
};

/// Describes the module's function and its launches. `external` is null for a module
/// that has its weights. Fails with a message if a symbol
/// cannot be read from any argument.
llvm::Expected<BuiltModule>
buildModule(mlir::ModuleOp module, llvm::StringRef modelName,
            const codegen::Target &target, const std::vector<CompiledKernel> &kernels,
            const StorageBytes &storages, const ExternalWeights *external = nullptr);

/// The bytes of one constant; packed ones are made in `buffer`.
std::span<const std::byte> constantBytes(const ConstantSource &source,
                                         const StorageBytes &storages,
                                         std::vector<std::byte> &buffer);

} // namespace rtorch::emit
