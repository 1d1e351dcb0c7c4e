// Whole kernels around emitAttentionTile, for tests and benchmarks.
#pragma once

#include "compiler/codegen/gemm/Attention.h"

#include "mlir/IR/BuiltinOps.h"

#include <optional>

namespace rtorch::test {

enum class ScoreMask {
  None,
  Additive, ///< [queries, keys] of the element type, added
  Boolean,  ///< [queries, keys] bytes; -inf where 0
};

/// A kernel of the module ABI that computes attention over contiguous
/// [batchHeads, length, size] tensors.
///
/// Buffers: Q, K, V, result, mask. Values: queries, keys, headSize, valueSize.
struct AttentionKernel {
  bool isDouble = false;
  std::optional<int64_t> queries, keys, headSize, valueSize; ///< fixed sizes
  bool transposedKeys = false; ///< K is [batchHeads, headSize, keys]
  bool causal = false;
  ScoreMask mask = ScoreMask::None;
  double scale = 1;
  gemm::AttentionBlocking blocking;

  int64_t elementBytes() const { return isDouble ? 8 : 4; }
  /// Adds the kernel to `module` under `name`.
  void addTo(mlir::ModuleOp module, llvm::StringRef name) const;
};

} // namespace rtorch::test
