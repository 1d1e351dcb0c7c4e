// Ops whose operands are all constants are computed while compiling: by the same
// kernels that would have computed them at run time.
#pragma once

#include "compiler/emit/CompileKernels.h"
#include "compiler/emit/ModuleBuilder.h"

#include <deque>
#include <span>
#include <vector>

namespace rtorch::fold {

/// Storages that were computed, numbered from `firstNumber` on.
class FoldedStorages {
public:
  explicit FoldedStorages(int64_t firstNumber) : firstNumber_(firstNumber) {}

  /// Zeroed memory of a new storage, and its number.
  std::pair<int64_t, std::span<std::byte>> add(size_t bytes);
  /// The bytes of a storage; empty if `number` is not one of these.
  std::span<const std::byte> bytes(int64_t number) const;
  size_t count() const { return storages_.size(); }
  size_t totalBytes() const;

private:
  int64_t firstNumber_;
  std::deque<std::vector<std::byte>> storages_;
};

/// Replaces values in the function of `module` (in value form, before kernels are
/// formed) that depend on parameters alone by parameters of new storages, which hold
/// what the ops would compute. Values that are much larger than what they are made of
/// stay as they are. `storages` gives the bytes of the program's own storages.
llvm::Error foldConstants(mlir::ModuleOp module, const emit::StorageBytes &storages,
                          unsigned threads, FoldedStorages &folded);

/// What depends on parameters alone, as kernels that compute it.
struct DeferredConstants {
  mlir::OwningOpRef<mlir::ModuleOp> module; // null if there is nothing
  std::vector<int64_t> storages;            // that its function's results fill
};

/// As foldConstants, but computes nothing: the values are left to whoever has the
/// parameters' bytes. The new storages are numbered from `firstNumber` on.
llvm::Expected<DeferredConstants> deferConstants(mlir::ModuleOp module,
                                                 int64_t firstNumber);

} // namespace rtorch::fold
