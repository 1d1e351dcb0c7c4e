// The loop nest around the microkernels. One grid tile, `rows` x `columns`:
//
//     for each block of k:
//       [pack B: the tile's columns]
//       for each block of rows: pack A
//         for each panel of columns, for each panel of rows:
//           microkernel into the sums, on the last block of k the epilogue
//
// Sums lie in scratch: one register tile if k is not split, which stays in L1 between
// microkernel and epilogue; else the whole grid tile.
//
// Few rows against a B that is not packed ahead take another way (ThinProduct.h).

#include "compiler/codegen/gemm/Gemm.h"

#include "compiler/codegen/gemm/Emitter.h"
#include "compiler/codegen/gemm/Microkernel.h"
#include "compiler/codegen/gemm/Packing.h"
#include "compiler/codegen/gemm/ThinProduct.h"

#include <set>

using namespace mlir;

namespace rtorch::gemm {

using layout::Expr;

namespace {

/// The size as an expression: its value where constant, else the symbol `name`.
Expr sizeExpr(Value size, const char *name) {
  if (std::optional<int64_t> value = constantOf(size))
    return *value;
  return Expr::symbol(name);
}

/// Heights of the row panels that occur in a product, ascending.
std::vector<int64_t> allPanelHeights(const TileShape &shape, const Expr &m,
                                     int64_t maxHeight) {
  if (!m.isConstant())
    return panelHeights(std::nullopt, maxHeight);
  std::set<int64_t> heights;
  auto addBlocks = [&](int64_t rows) {
    int64_t block = *shape.blockRows.constant();
    for (int64_t part : {std::min(rows, block), rows % block})
      for (int64_t height : panelHeights(part, maxHeight))
        heights.insert(height);
  };
  int64_t rows = *shape.rows.constant();
  addBlocks(std::min(*m.constant(), rows));
  addBlocks(*m.constant() % rows);
  return {heights.begin(), heights.end()};
}

class GemmEmitter {
public:
  GemmEmitter(OpBuilder &b, Location loc, const GemmSpec &spec,
              const Blocking &blocking, Value scratch)
      : e(b, loc), spec_(spec), blocking_(blocking), tile_(blocking.registers),
        type_(spec.elementType), scratch_(scratch) {
    Expr m = sizeExpr(spec.m, "m"), n = sizeExpr(spec.n, "n"),
         k = sizeExpr(spec.k, "k");
    symbols_ = {{"m", spec.m}, {"n", spec.n}, {"k", spec.k}};
    shape_ = blocking.shape(m, n, k);
    plan_ = planScratch(blocking, shape_);
    heights_ = allPanelHeights(shape_, m, tile_.rows);
    wholeGroups_ = k.isConstant() && *k.constant() % depthGroup == 0;
    rows_ = lower(shape_.rows);
    blockRows_ = lower(shape_.blockRows);
    columns_ = lower(shape_.columns);
    depthBlocks_ = lower(shape_.depthBlocks);
    depth_ = lower(shape_.depth);
  }

  void emitTile(Value tileIndex) {
    Value rowTiles = e.max(lower(shape_.rowTiles), e.constant(1));
    tileRows_ = range(e.rem(tileIndex, rowTiles), shape_.rows, rows_, spec_.m);
    tileColumns_ = range(e.div(tileIndex, rowTiles), shape_.columns, columns_, spec_.n);
    const auto *right = std::get_if<MatrixSource>(&spec_.b);
    auto packed = [&] {
      e.loop(depthBlocks_, [&](Value block) { emitDepthBlock(block); });
    };
    if (!right || !isReadInPlace(*right))
      return packed();
    if (std::optional<int64_t> m = constantOf(spec_.m))
      return *m <= maxThinRows ? emitThinTile(*right, *m) : packed();
    e.branch(
        e.less(e.constant(1), spec_.m),
        [&] {
          e.branch(e.less(e.constant(maxThinRows), spec_.m), packed,
                   [&] { emitThinTile(*right, maxThinRows); });
        },
        [&] { emitThinTile(*right, 1); });
  }

private:
  Value lower(const Expr &expr) { return e.lower(expr, symbols_); }

  Value scratchAt(const Expr &element) {
    return e.address(type_, scratch_, lower(element));
  }

  /// The `index`-th block of `size` of `total`; of known length where `size` divides
  /// it.
  Range range(Value index, const Expr &sizeExpression, Value size, Value total) {
    Value start = e.mul(index, size);
    std::optional<int64_t> fixed = sizeExpression.constant(), all = constantOf(total);
    if (fixed && all && *fixed > 0 && *all % *fixed == 0)
      return {start, size};
    return {start, e.min(size, e.sub(total, start))};
  }

  /// The tile where there are at most `rows` rows.
  void emitThinTile(const MatrixSource &right, int64_t rows) {
    if (rows == 0)
      return;
    Range depth{e.constant(0), spec_.k};
    ThinRows left{scratchAt(plan_.thinRows),
                  lower(thinStride(shape_.depth * shape_.depthBlocks, tile_)), rows};
    ThinSums sums{scratchAt(plan_.thinSums), columns_};
    packThinRows(e, type_, tile_, spec_.a, tileRows_.start, spec_.m, depth, left);
    clearThinSums(e, type_, tile_, rows, tileColumns_.length, sums);
    emitThinProduct(e, type_, tile_, left, right, depth, tileColumns_, sums);
    storeRows(sums.pointer, sums.stride, tileRows_.start, spec_.m, e.constant(0),
              tileColumns_.length, !columnsDivideBy(tile_.lanes));
  }

  void emitDepthBlock(Value block) {
    depthBlock_ = block;
    depthRange_ = range(block, shape_.depth, depth_, spec_.k);
    if (shape_.depthBlocks.isConstant(1))
      depthRange_ = {e.constant(0), spec_.k};
    if (const auto *source = std::get_if<MatrixSource>(&spec_.b))
      packRight(e, type_, tile_, *source, depthRange_, tileColumns_,
                scratchAt(plan_.packedB));
    if (blocking_.maxRows == blocking_.maxBlockRows)
      return emitRowBlock({e.constant(0), tileRows_.length});
    Value blocks =
        e.div(e.add(tileRows_.length, e.sub(blockRows_, e.constant(1))), blockRows_);
    e.loop(blocks, [&](Value index) {
      emitRowBlock(range(index, shape_.blockRows, blockRows_, tileRows_.length));
    });
  }

  /// `rows` of the tile.
  void emitRowBlock(const Range &rows) {
    RowPanels panels = RowPanels::of(e, rows.length, tile_.rows);
    Value firstRow = e.add(tileRows_.start, rows.start);
    packLeft(e, type_, tile_, spec_.a, firstRow, panels, depthRange_, wholeGroups_,
             scratchAt(plan_.packedA));
    e.loop(e.constant(0), tileColumns_.length, tile_.columns(), [&](Value column) {
      e.loop(panels.count, [&](Value panel) {
        emitRegisterTile(rows.start, panels.start(e, panel), panels.heightOf(e, panel),
                         column);
      });
    });
  }

  /// `block` and `row`: the block's first row in the tile, the panel's in the block.
  void emitRegisterTile(Value block, Value row, Value height, Value column) {
    Value padded = e.roundUp(depthRange_.length, depthGroup);
    TileOperands operands;
    operands.a = e.address(type_, scratchAt(plan_.packedA), e.mul(row, padded));
    operands.b = rightPanel(column, padded);
    operands.c = sumsAt(e.add(block, row), column);
    operands.stride = e.constant(tile_.columns());
    operands.groups = e.div(padded, e.constant(depthGroup));
    operands.accumulate = e.less(e.constant(0), depthBlock_);
    callMicrokernel(e, type_, tile_, heights_, height, operands);
    Value last = e.equal(depthBlock_, e.sub(depthBlocks_, e.constant(1)));
    e.branch(last, [&] {
      emitEpilogue(operands.c, e.add(tileRows_.start, e.add(block, row)), height,
                   column);
    });
  }

  Value rightPanel(Value column, Value padded) {
    if (const auto *packed = std::get_if<PackedB>(&spec_.b)) {
      Value whole = e.roundUp(spec_.k, depthGroup);
      Value index = e.add(e.mul(e.add(tileColumns_.start, column), whole),
                          e.mul(depthRange_.start, tile_.columns()));
      return e.address(type_, packed->pointer, index);
    }
    return e.address(type_, scratchAt(plan_.packedB), e.mul(column, padded));
  }

  Value sumsAt(Value row, Value column) {
    Value start = scratchAt(plan_.sums);
    if (shape_.depthBlocks.isConstant(1))
      return start;
    Value index = e.add(e.mul(column, rows_), e.mul(row, tile_.columns()));
    // With a single block of k the first register tile serves for all.
    index = e.mul(index, lower(min(shape_.depthBlocks - 1, 1)));
    return e.address(type_, start, index);
  }

  /// Whether the columns of every tile are a multiple of `count`.
  bool columnsDivideBy(int64_t count) {
    std::optional<int64_t> n = constantOf(spec_.n);
    return n && *n % count == 0;
  }

  void emitEpilogue(Value sums, Value row, Value height, Value column) {
    Value whole = e.constant(tile_.columns());
    auto store = [&](Value count, bool masked) {
      storeRows(sums, whole, row, height, column, count, masked);
    };
    if (columnsDivideBy(tile_.columns()))
      return store(whole, false);
    Value left = e.sub(tileColumns_.length, column);
    e.branch(
        e.less(left, whole), [&] { store(left, true); }, [&] { store(whole, false); });
  }

  /// Hands the first `count` columns of each row of sums to the caller's store;
  /// `masked`, unless they are whole vectors.
  void storeRows(Value sums, Value stride, Value row, Value height, Value column,
                 Value count, bool masked) {
    auto vector = VectorType::get(tile_.lanes, type_);
    Value firstColumn = e.add(tileColumns_.start, column);
    e.loop(height, [&](Value i) {
      e.loop(e.constant(0), count, tile_.lanes, [&](Value j) {
        Value mask = masked ? e.laneMask(tile_.lanes, e.sub(count, j)) : Value();
        Value from = e.add(e.mul(i, stride), j);
        Value values = e.load(vector, e.address(type_, sums, from), Value());
        spec_.store(e.b, e.loc, e.add(row, i), e.add(firstColumn, j), values, mask);
      });
    });
  }

  Emitter e;
  const GemmSpec &spec_;
  const Blocking &blocking_;
  RegisterTile tile_;
  Type type_;
  Value scratch_;
  std::map<std::string, Value> symbols_;
  TileShape shape_;
  ScratchPlan plan_;
  std::vector<int64_t> heights_;
  bool wholeGroups_ = false;
  Value rows_, blockRows_, columns_, depth_, depthBlocks_;
  Range tileRows_, tileColumns_, depthRange_;
  Value depthBlock_;
};

/// Columns that one tile of a packing launch packs: enough work for a launch.
int64_t packTileColumns(const Blocking &blocking) {
  return 4 * blocking.registers.columns();
}

} // namespace

void emitGemmTile(OpBuilder &builder, Location loc, const GemmSpec &spec,
                  const Blocking &blocking, Value tileIndex, Value scratch) {
  GemmEmitter(builder, loc, spec, blocking, scratch).emitTile(tileIndex);
}

Expr packGridSize(const Blocking &blocking, const Expr &, const Expr &n) {
  return ceildiv(n, packTileColumns(blocking));
}

void emitPackTile(OpBuilder &builder, Location loc, Type elementType,
                  const Blocking &blocking, const MatrixSource &source, Value k,
                  Value n, Value tileIndex, Value packed) {
  Emitter e(builder, loc);
  Value width = e.constant(packTileColumns(blocking));
  Value start = e.mul(tileIndex, width);
  Range columns{start, e.min(width, e.sub(n, start))};
  Value to = e.address(elementType, packed, e.mul(start, e.roundUp(k, depthGroup)));
  packRight(e, elementType, blocking.registers, source, {e.constant(0), k}, columns,
            to);
}

} // namespace rtorch::gemm
