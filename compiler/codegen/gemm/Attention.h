// Emission of scaled dot-product attention as one kernel: softmax(scale Q K^T + mask) V
// without ever storing the scores.
#pragma once

#include "compiler/codegen/gemm/Blocking.h"
#include "compiler/codegen/gemm/MatrixSource.h"

namespace rtorch::gemm {

/// One matrix of a batch, given the index of (batch, head). Called at the start of each
/// tile, so that what depends on the index alone is computed once.
using BatchedSource = std::function<MatrixSource(mlir::OpBuilder &, mlir::Location,
                                                 mlir::Value batchHead)>;

/// Emits what becomes of the scaled scores (row, col .. col + width) before the
/// softmax: additive masks, selects of -inf, biases. Lanes that `mask` (null: none)
/// turns off are ignored later and must not access memory.
using ScoreFn = std::function<mlir::Value(
    mlir::OpBuilder &, mlir::Location, mlir::Value batchHead, mlir::Value row,
    mlir::Value col, mlir::Value scores, mlir::Value mask)>;

/// As StoreFn, for the result (row, col .. col + width) of one (batch, head).
using BatchedStore = std::function<void(
    mlir::OpBuilder &, mlir::Location, mlir::Value batchHead, mlir::Value row,
    mlir::Value col, mlir::Value values, mlir::Value mask)>;

/// Attention of `queries` rows over `keys` rows, for each (batch, head). Numbers are as
/// in PyTorch: a row whose scores are all -inf gives 0, a NaN or +inf among the scores
/// gives NaN.
struct AttentionSpec {
  mlir::Type elementType;                         ///< f32 or f64
  mlir::Value queries, keys, headSize, valueSize; ///< i64, constants where static
  mlir::Value scale;                              ///< scalar of the element type
  BatchedSource q;                                ///< [queries, headSize]
  BatchedSource k;                                ///< [keys, headSize]
  BatchedSource v;                                ///< [keys, valueSize]
  /// Query i sees the keys 0 .. i only.
  /// A row without any score above -inf is NaN, not 0.
  bool nanRows = false;
  bool causal = false;
  ScoreFn score; ///< may be empty
  BatchedStore store;
};

/// The rules for the cut, as numbers.
struct AttentionBlocking {
  RegisterTile registers;
  int64_t elementBytes = 0;
  int64_t maxRows = 0; ///< queries of a grid tile
  int64_t maxKeys = 0; ///< of a block; longer sequences take the softmax online

  friend bool operator==(const AttentionBlocking &,
                         const AttentionBlocking &) = default;
};

AttentionBlocking chooseAttentionBlocking(const codegen::Target &target,
                                          int64_t elementBytes);

/// Tiles of the grid; tile t belongs to (batch, head) number t div the tiles of one.
layout::Expr attentionGridSize(const AttentionBlocking &blocking,
                               const layout::Expr &batchHeads,
                               const layout::Expr &queries);

/// Bytes of scratch memory that emitAttentionTile needs, aligned to RTORCH_ALIGNMENT;
/// bounded however long the sequences are.
layout::Expr attentionScratchBytes(const AttentionBlocking &blocking,
                                   const layout::Expr &queries,
                                   const layout::Expr &keys,
                                   const layout::Expr &headSize,
                                   const layout::Expr &valueSize);

/// Emits the computation of one grid tile. The insertion point must be reachable from
/// the module, as for emitGemmTile. Emits math.exp.
void emitAttentionTile(mlir::OpBuilder &builder, mlir::Location loc,
                       const AttentionSpec &spec, const AttentionBlocking &blocking,
                       mlir::Value tileIndex, mlir::Value scratch);

} // namespace rtorch::gemm
