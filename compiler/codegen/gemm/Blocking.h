// How a product [m, k] x [k, n] is cut: into register tiles, cache blocks, and the
// tiles of the grid. The cut follows from the target and the sizes alone, never from
// the number of threads; the split of k, which is what rounding depends on, from k
// alone.
#pragma once

#include "compiler/codegen/gemm/PackedLayout.h"
#include "compiler/codegen/lowering/Target.h"
#include "runtime/layout/Expr.h"

#include <cstdint>

namespace rtorch::gemm {

/// The part of the product that stays in vector registers.
struct RegisterTile {
  int64_t rows = 0;    ///< at most; panels of fewer rows have microkernels of their own
  int64_t vectors = 0; ///< columns, in vectors
  int64_t lanes = 0;   ///< elements of a vector

  int64_t columns() const { return vectors * lanes; }
  friend bool operator==(const RegisterTile &, const RegisterTile &) = default;
};

/// The tile for elements of `elementBytes` bytes: the most multiply-adds per load that
/// the registers allow.
RegisterTile chooseRegisterTile(const codegen::Target &target, int64_t elementBytes);

/// Sizes of the blocks of one product; expressions where m, n or k are.
struct TileShape {
  layout::Expr depth;       ///< steps of k in a block, a multiple of depthGroup
  layout::Expr depthBlocks; ///< at least 1, also for k = 0
  layout::Expr rows;        ///< of a grid tile
  layout::Expr blockRows;   ///< of a packed block of A; at most `rows`
  layout::Expr columns;     ///< of a grid tile, a multiple of the register tile's
  layout::Expr rowTiles;    ///< of the grid
  layout::Expr columnTiles; ///< of the grid
};

/// The rules for the cut, as numbers.
struct Blocking {
  RegisterTile registers;
  int64_t elementBytes = 0;
  int64_t maxDepth = 0;     ///< of a block
  int64_t minRows = 0;      ///< of a grid tile where more tiles are wanted
  int64_t maxRows = 0;      ///< of a grid tile
  int64_t maxBlockRows = 0; ///< of a packed block of A
  int64_t minColumns = 0;   ///< of a grid tile where more tiles are wanted
  int64_t maxColumns = 0;   ///< of a grid tile
  int64_t wantedTiles = 0;  ///< as long as tiles do not fall below the minima
  bool packedB = false;     ///< B is packed ahead; else each tile packs its columns

  PackedLayout packed() const { return {registers.columns()}; }
  /// The block sizes of a product; sizes may be any expressions that are >= 0.
  TileShape shape(const layout::Expr &m, const layout::Expr &n,
                  const layout::Expr &k) const;

  friend bool operator==(const Blocking &, const Blocking &) = default;
};

/// Chooses the rules for elements of `elementBytes` (4 or 8) bytes. `packedB` says
/// whether the right operand is packed ahead (a constant weight).
Blocking chooseBlocking(const codegen::Target &target, int64_t elementBytes,
                        bool packedB);
/// The same for a product of few rows that reads rows of the right operand where they
/// lie: a tile takes long runs of each.
Blocking chooseThinBlocking(const codegen::Target &target, int64_t elementBytes);
/// Lets tiles be narrower, so that threads share the work evenly, where packing part of
/// the right operand reads few pages: those of an operand whose columns are contiguous
/// in memory, and of a small one. `blocking` as of chooseBlocking, not packed ahead.
void narrowTiles(Blocking &blocking, bool contiguousColumns, const layout::Expr &m,
                 const layout::Expr &n, const layout::Expr &k);

/// Tiles of the grid of one product, ordered by columns first: tile t computes rows
/// from (t mod rowTiles) * rows and columns from (t div rowTiles) * columns. 0 if the
/// result is empty.
layout::Expr gridSize(const Blocking &blocking, const layout::Expr &m,
                      const layout::Expr &n, const layout::Expr &k);

/// Bytes of scratch memory that emitGemmTile needs, aligned to RTORCH_ALIGNMENT.
layout::Expr scratchBytes(const Blocking &blocking, const layout::Expr &m,
                          const layout::Expr &n, const layout::Expr &k);

/// Where the parts of the scratch memory begin, in elements.
struct ScratchPlan {
  layout::Expr packedA;  ///< [panel][k / depthGroup][row of panel][depthGroup]
  layout::Expr packedB;  ///< as PackedLayout, unless packed ahead
  layout::Expr sums;     ///< [panel of columns][row][columns of panel]
  layout::Expr thinRows; ///< of the left operand of a product with few rows
  layout::Expr thinSums; ///< [row][columns of the grid tile]
  layout::Expr total;
};
ScratchPlan planScratch(const Blocking &blocking, const TileShape &shape);

} // namespace rtorch::gemm
