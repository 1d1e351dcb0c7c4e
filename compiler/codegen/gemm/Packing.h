// Copies operands into the panels that microkernels read. K is padded with zeros to
// whole groups on both sides.
#pragma once

#include "compiler/codegen/gemm/Blocking.h"
#include "compiler/codegen/gemm/MatrixSource.h"
#include "compiler/codegen/gemm/Microkernel.h"

namespace rtorch::gemm {

/// A range of indices: [start, start + length).
struct Range {
  mlir::Value start, length;
};

/// Packs the rows from `row` on that `panels` cuts, and the columns of `depth`, into
/// `packed`: [panel][k / depthGroup][row of panel][depthGroup]. `wholeGroups`: the
/// length of `depth` is known to be a multiple of depthGroup. May write up to a vector
/// of rows past the end.
void packLeft(Emitter &e, mlir::Type type, const RegisterTile &tile,
              const MatrixSource &source, mlir::Value row, const RowPanels &panels,
              const Range &depth, bool wholeGroups, mlir::Value packed);

/// Packs the rows of `depth` and the columns of `columns` into `packed`, as
/// PackedLayout says for `tile`.
void packRight(Emitter &e, mlir::Type type, const RegisterTile &tile,
               const MatrixSource &source, const Range &depth, const Range &columns,
               mlir::Value packed);

/// Transposes `rows` (a power of two of vectors with as many lanes).
llvm::SmallVector<mlir::Value> transposeSquare(Emitter &e,
                                               llvm::ArrayRef<mlir::Value> rows);

} // namespace rtorch::gemm
