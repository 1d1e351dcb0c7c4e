// Which ops run in one kernel.
#pragma once

#include "compiler/schedule/ViewChain.h"

#include "llvm/ADT/MapVector.h"

namespace rtorch::schedule {

/// Ops that run as one kernel. The last op's result is the only value that others see;
/// or the group stores values: to memory that outlives the run, or that a loop or
/// branch hands on, where several writes may share a group.
struct FusionGroup {
  enum class Kind {
    Map,         // each element on its own
    Row,         // reductions over `reduced` dims of `domain`
    Contraction, // one contraction or attention, with pointwise ops on its result
    Whole,       // an op with a kernel of its own, after cheap ops: scan, sort, scatter
    Write,       // stores into memory that is there already; otherwise like Map
  };
  Kind kind = Kind::Map;
  llvm::SmallVector<mlir::Operation *> ops; // in the order of the block
  layout::Dims domain;
  llvm::SmallVector<int64_t> reduced;
  /// The convolution whose results are reduced in windows that do not overlap: it
  /// computes the pixels of a window one after the other.
  mlir::Operation *pooled = nullptr;
  /// Views that move indices (permute, select) are among the fused ones.
  bool movesIndices = false;

  mlir::Operation *root() const { return ops.back(); }
};

/// Groups the ops of a value-form block, in the order in which they can run.
std::vector<FusionGroup> formGroups(mlir::Block &block);

/// Ops that no kernel is made for: views, parameters, constants, packed weights,
/// buffers, and what runs other ops.
bool isFree(mlir::Operation *op);

} // namespace rtorch::schedule
