#include "compiler/codegen/gemm/Blocking.h"

#include "compiler/codegen/gemm/ThinProduct.h"
#include "runtime/format/KernelAbi.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

namespace rtorch::gemm {

using codegen::Target;
using layout::Expr;

RegisterTile chooseRegisterTile(const Target &target, int64_t elementBytes) {
  RegisterTile tile;
  tile.lanes = target.vectorBytes / elementBytes;
  // Accumulators, the vectors of a row of B, and one broadcast element of A. Two
  // vectors a row: more would lower the loads per step, but leave more of the last
  // panel unused and make the panels of short products too flat.
  tile.vectors = 2;
  tile.rows = (target.vectorRegisters - 1 - tile.vectors) / tile.vectors;
  tile.rows = std::min<int64_t>(tile.rows, 12);
  return tile;
}

Blocking chooseBlocking(const Target &target, int64_t elementBytes, bool packedB) {
  Blocking blocking;
  blocking.registers = chooseRegisterTile(target, elementBytes);
  blocking.elementBytes = elementBytes;
  blocking.packedB = packedB;
  blocking.maxDepth = 768 * 4 / elementBytes;
  // A block of A takes half of L2 at most.
  int64_t rows = blocking.registers.rows;
  int64_t fitting = target.l2Bytes / 2 / (blocking.maxDepth * elementBytes);
  blocking.maxBlockRows = std::clamp<int64_t>(fitting, 4 * rows, 192) / rows * rows;
  blocking.maxRows = packedB ? blocking.maxBlockRows : 4 * blocking.maxBlockRows;
  // Where each tile packs its part of B, enough rows must share the work.
  blocking.minRows = packedB ? 64 : blocking.maxBlockRows;
  // Packing in the tile reads short runs of each row of B: narrow tiles would miss the
  // TLB for every row, once per tile.
  blocking.minColumns = (packedB ? 128 : 192) * 4 / elementBytes;
  blocking.maxColumns = 512 * 4 / elementBytes;
  blocking.wantedTiles = 8;
  return blocking;
}

Blocking chooseThinBlocking(const Target &target, int64_t elementBytes) {
  Blocking blocking = chooseBlocking(target, elementBytes, /*packedB=*/false);
  blocking.minColumns = 1024 * 4 / elementBytes;
  blocking.maxColumns = 2048 * 4 / elementBytes;
  return blocking;
}

void narrowTiles(Blocking &blocking, bool contiguousColumns, const Expr &m,
                 const Expr &n, const Expr &k) {
  // What a tile must have to do, so that starting it is nothing.
  constexpr int64_t leastProducts = 1 << 18;
  constexpr int64_t mostBytes = 1 << 19;
  if (contiguousColumns)
    blocking.minColumns = 128 * 4 / blocking.elementBytes;
  if (!m.isConstant() || !n.isConstant() || !k.isConstant())
    return;
  int64_t inColumn = *m.constant() * *k.constant();
  if (inColumn == 0 ||
      *n.constant() * *k.constant() * blocking.elementBytes > mostBytes)
    return;
  int64_t panel = blocking.registers.columns();
  int64_t columns = llvm::alignTo(llvm::divideCeil(leastProducts, inColumn), panel);
  blocking.minColumns = std::clamp(columns, 2 * panel, blocking.minColumns);
}

static Expr roundUp(const Expr &value, int64_t multiple) {
  return ceildiv(value, multiple) * multiple;
}

TileShape Blocking::shape(const Expr &m, const Expr &n, const Expr &k) const {
  TileShape shape;
  shape.depthBlocks = max(ceildiv(k, maxDepth), 1);
  shape.depth = paddedDepth(ceildiv(k, shape.depthBlocks));
  // Blocks of equal size instead of full ones and a small rest.
  Expr wantedRows = ceildiv(wantedTiles, max(ceildiv(n, minColumns), 1));
  Expr rowTiles =
      max(max(ceildiv(m, maxRows), min(ceildiv(m, minRows), wantedRows)), 1);
  shape.rows = max(ceildiv(m, rowTiles), 1);
  shape.rowTiles = ceildiv(m, shape.rows);
  shape.blockRows = shape.rows;
  if (maxRows > maxBlockRows)
    shape.blockRows = ceildiv(shape.rows, ceildiv(shape.rows, maxBlockRows));
  Expr wanted = min(ceildiv(n, minColumns), ceildiv(wantedTiles, rowTiles));
  Expr columnTiles = max(max(ceildiv(n, maxColumns), wanted), 1);
  shape.columns =
      max(roundUp(ceildiv(n, columnTiles), registers.columns()), registers.columns());
  shape.columnTiles = ceildiv(n, shape.columns);
  return shape;
}

Expr gridSize(const Blocking &blocking, const Expr &m, const Expr &n, const Expr &k) {
  TileShape shape = blocking.shape(m, n, k);
  return shape.rowTiles * shape.columnTiles;
}

ScratchPlan planScratch(const Blocking &blocking, const TileShape &shape) {
  const int64_t line = RTORCH_ALIGNMENT / blocking.elementBytes;
  const RegisterTile &tile = blocking.registers;
  // packLeft may write up to a group of rows past the end.
  const int64_t slack = depthGroup * depthGroup;
  ScratchPlan plan;
  Expr end = roundUp(shape.blockRows * shape.depth + slack, line);
  plan.packedB = end;
  if (!blocking.packedB)
    end += roundUp(shape.columns * shape.depth, line);
  plan.sums = end;
  // One register tile, or the whole grid tile where k is split.
  end += tile.rows * tile.columns() +
         min(shape.depthBlocks - 1, 1) * shape.rows * shape.columns;
  if (!blocking.packedB) {
    plan.thinRows = end = roundUp(end, line);
    end +=
        roundUp(thinStride(shape.depth * shape.depthBlocks, tile) * maxThinRows, line);
    plan.thinSums = end;
    end += shape.columns * maxThinRows;
  }
  plan.total = end;
  return plan;
}

Expr scratchBytes(const Blocking &blocking, const Expr &m, const Expr &n,
                  const Expr &k) {
  return planScratch(blocking, blocking.shape(m, n, k)).total * blocking.elementBytes;
}

} // namespace rtorch::gemm
