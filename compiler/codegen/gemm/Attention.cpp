// One grid tile, some queries of one (batch, head):
//
//     pack Q, scaled
//     for each block of keys:
//       pack K^T, pack V
//       for each panel of queries:
//         S = Q K^T              microkernels; a register tile's rows, all keys
//         P = exp(S - maximum)   written as a packed panel; sums and maxima per row
//         O = alpha O + P V      microkernels; alpha corrects for a new maximum
//     store O / sum
//
// Few queries take K and V as they lie instead of packing them (ThinProduct.h); their
// S, P and O are row-major.
//
// The online form is that of Milakov and Gimelshein, "Online normalizer calculation for
// softmax" (2018). S and P are one panel high, so that they stay in L1 and L2.

#include "compiler/codegen/gemm/Attention.h"

#include "compiler/codegen/gemm/Emitter.h"
#include "compiler/codegen/gemm/Microkernel.h"
#include "compiler/codegen/gemm/Packing.h"
#include "compiler/codegen/gemm/ThinProduct.h"
#include "runtime/format/KernelAbi.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>
#include <set>

using namespace mlir;

namespace rtorch::gemm {

using codegen::Target;
using layout::Expr;

namespace {

Expr roundUp(const Expr &value, int64_t multiple) {
  return ceildiv(value, multiple) * multiple;
}

/// Block sizes, and where the parts of the scratch memory begin, in elements.
struct Plan {
  Expr rows;        ///< queries of a tile
  Expr rowTiles;    ///< of one (batch, head)
  Expr keyBlock;    ///< keys of a block
  Expr keyBlocks;   ///< at least 1
  Expr scoreStride; ///< between rows of S

  Expr q, k, v;         ///< packed operands
  Expr scores, weights; ///< S and packed P of one panel
  Expr output;          ///< [panel of columns][row][columns of panel]
  Expr maxima, sums;    ///< of each row
  Expr thinQueries;     ///< row-major
  Expr total;
};

bool isThin(const Expr &queries) {
  return queries.isConstant() && *queries.constant() > 0 &&
         *queries.constant() <= maxThinRows;
}

Plan makePlan(const AttentionBlocking &blocking, const Expr &queries, const Expr &keys,
              const Expr &headSize, const Expr &valueSize) {
  const RegisterTile &tile = blocking.registers;
  Plan plan;
  Expr rowTiles = max(ceildiv(queries, blocking.maxRows), 1);
  plan.rows = max(ceildiv(queries, rowTiles), 1);
  plan.rowTiles = ceildiv(queries, plan.rows);
  plan.keyBlocks = max(ceildiv(keys, blocking.maxKeys), 1);
  plan.keyBlock =
      max(roundUp(ceildiv(keys, plan.keyBlocks), tile.columns()), tile.columns());
  // One vector more: rows a power of two apart would share cache sets.
  plan.scoreStride = plan.keyBlock + tile.lanes;

  Expr end = 0;
  auto place = [&](Expr &start, const Expr &elements) {
    start = end;
    end += roundUp(elements, RTORCH_ALIGNMENT / blocking.elementBytes);
  };
  place(plan.q, plan.rows * paddedDepth(headSize) + depthGroup * depthGroup);
  place(plan.k, plan.keyBlock * paddedDepth(headSize));
  place(plan.v, plan.keyBlock * roundUp(valueSize, tile.columns()));
  place(plan.scores, plan.scoreStride * tile.rows);
  place(plan.weights, plan.keyBlock * tile.rows);
  place(plan.output, plan.rows * roundUp(valueSize, tile.columns()));
  place(plan.maxima, plan.rows);
  place(plan.sums, plan.rows);
  if (isThin(queries))
    place(plan.thinQueries, thinStride(headSize, tile) * maxThinRows);
  plan.total = end;
  return plan;
}

Expr sizeExpr(Value size, const char *name) {
  if (std::optional<int64_t> value = constantOf(size))
    return *value;
  return Expr::symbol(name);
}

class AttentionEmitter {
public:
  AttentionEmitter(OpBuilder &b, Location loc, const AttentionSpec &spec,
                   const AttentionBlocking &blocking, Value scratch)
      : e(b, loc), spec_(spec), tile_(blocking.registers), type_(spec.elementType),
        vector_(VectorType::get(tile_.lanes, type_)), scratch_(scratch) {
    symbols_ = {{"queries", spec.queries},
                {"keys", spec.keys},
                {"head", spec.headSize},
                {"value", spec.valueSize}};
    Expr queries = sizeExpr(spec.queries, "queries");
    plan_ =
        makePlan(blocking, queries, sizeExpr(spec.keys, "keys"),
                 sizeExpr(spec.headSize, "head"), sizeExpr(spec.valueSize, "value"));
    rows_ = lower(plan_.rows);
    keyBlock_ = lower(plan_.keyBlock);
    scoreStride_ = lower(plan_.scoreStride);
    std::optional<int64_t> all = constantOf(spec.queries);
    std::optional<int64_t> fixed = plan_.rows.constant();
    wholeTiles_ = all && fixed && *all % *fixed == 0;
    heights_ = panelHeights(all ? fixed : std::nullopt, tile_.rows);
    if (all && !wholeTiles_)
      addHeights(*all % *fixed);
  }

  void emitTile(Value tileIndex) {
    Value rowTiles = e.max(lower(plan_.rowTiles), e.constant(1));
    batchHead_ = e.div(tileIndex, rowTiles);
    Value start = e.mul(e.rem(tileIndex, rowTiles), rows_);
    queries_ = {start, wholeTiles_ ? rows_ : e.min(rows_, e.sub(spec_.queries, start))};
    panels_ = RowPanels::of(e, queries_.length, tile_.rows);
    MatrixSource keys = transpose(spec_.k(e.b, e.loc, batchHead_));
    MatrixSource values = spec_.v(e.b, e.loc, batchHead_);
    thin_ = isThin(sizeExpr(spec_.queries, "queries")) && isReadInPlace(keys) &&
            isReadInPlace(values);
    packQueries();
    resetRows();
    // Keys past the last query of the tile are masked for all of them.
    Value end = spec_.keys;
    if (spec_.causal)
      end = e.min(end, e.add(queries_.start, queries_.length));
    Value blocks = e.constant(1);
    if (!plan_.keyBlocks.isConstant(1))
      blocks = e.max(e.div(e.add(end, e.sub(keyBlock_, e.constant(1))), keyBlock_),
                     e.constant(1));
    e.loop(blocks, [&](Value block) {
      Value start = e.mul(block, keyBlock_);
      Range range{start, e.min(keyBlock_, e.sub(end, start))};
      if (thin_)
        emitThinBlock(keys, values, range);
      else
        emitKeyBlock(keys, values, range);
    });
    storeOutput();
  }

private:
  Value lower(const Expr &expr) { return e.lower(expr, symbols_); }

  Value scratchAt(const Expr &element) {
    return e.address(type_, scratch_, lower(element));
  }

  /// Those of the last tile.
  void addHeights(int64_t rows) {
    std::set<int64_t> heights(heights_.begin(), heights_.end());
    for (int64_t height : panelHeights(rows, tile_.rows))
      heights.insert(height);
    heights_.assign(heights.begin(), heights.end());
  }

  Value minusInfinity() { return scalar(-std::numeric_limits<double>::infinity()); }
  Value scalar(double value) {
    return arith::ConstantOp::create(e.b, e.loc, e.b.getFloatAttr(type_, value));
  }
  Value spread(Value scalar) { return e.broadcast(tile_.lanes, scalar); }

  void packQueries() {
    MatrixSource source = spec_.q(e.b, e.loc, batchHead_);
    source.alongRow = scaled(source.alongRow);
    source.alongColumn = scaled(source.alongColumn);
    if (thin_)
      return packThinRows(e, type_, tile_, source, queries_.start, queries_.length,
                          {e.constant(0), spec_.headSize}, thinQueries());
    packLeft(e, type_, tile_, source, queries_.start, panels_,
             {e.constant(0), spec_.headSize}, headSizeIsWhole(), scratchAt(plan_.q));
  }

  bool headSizeIsWhole() {
    std::optional<int64_t> size = constantOf(spec_.headSize);
    return size && *size % depthGroup == 0;
  }

  LoadFn scaled(LoadFn load) {
    if (!load)
      return load;
    return [load, scale = spec_.scale](OpBuilder &b, Location loc, Value row, Value col,
                                       int64_t width, Value mask) -> Value {
      Emitter e(b, loc);
      Value values = load(b, loc, row, col, width, mask);
      return arith::MulFOp::create(b, loc, values, e.broadcast(width, scale));
    };
  }

  int64_t thinCount() const { return *constantOf(spec_.queries); }

  ThinRows thinQueries() {
    Expr head = sizeExpr(spec_.headSize, "head");
    return {scratchAt(plan_.thinQueries), lower(thinStride(head, tile_)), thinCount()};
  }

  /// All queries against the keys of `block`, in place.
  void emitThinBlock(const MatrixSource &keys, const MatrixSource &values,
                     const Range &block) {
    Range head{e.constant(0), spec_.headSize}, value{e.constant(0), spec_.valueSize};
    ThinSums scores{scratchAt(plan_.scores), scoreStride_};
    clearThinSums(e, type_, tile_, thinCount(), block.length, scores);
    emitThinProduct(e, type_, tile_, thinQueries(), keys, head, block, scores);
    ThinSums output{outputAt(e.constant(0), e.constant(0)), outputStride()};
    e.branch(e.equal(block.start, e.constant(0)), [&] {
      clearThinSums(e, type_, tile_, thinCount(), spec_.valueSize, output);
    });
    e.loop(queries_.length, [&](Value i) {
      emitRow(e.constant(0), i, queries_.length, block, block.length);
    });
    ThinRows weights{scratchAt(plan_.weights), keyBlock_, thinCount()};
    emitThinProduct(e, type_, tile_, weights, values, block, value, output);
  }

  /// Between rows of a row-major output.
  Value outputStride() { return e.roundUp(spec_.valueSize, tile_.columns()); }

  /// Before the first block: maxima -inf, sums 0.
  void resetRows() {
    e.loop(queries_.length, [&](Value i) {
      e.store(minusInfinity(), e.address(type_, scratchAt(plan_.maxima), i));
      e.store(scalar(0), e.address(type_, scratchAt(plan_.sums), i));
    });
  }

  void emitKeyBlock(const MatrixSource &keys, const MatrixSource &values,
                    const Range &block) {
    Range head{e.constant(0), spec_.headSize}, value{e.constant(0), spec_.valueSize};
    packRight(e, type_, tile_, keys, head, block, scratchAt(plan_.k));
    packRight(e, type_, tile_, values, block, value, scratchAt(plan_.v));
    e.loop(panels_.count, [&](Value panel) {
      Value row = panels_.start(e, panel), height = panels_.heightOf(e, panel);
      Value length = block.length;
      if (spec_.causal) {
        Value end = e.add(queries_.start, e.add(row, height));
        length = e.max(e.min(length, e.sub(end, block.start)), e.constant(0));
      }
      auto emit = [&] { emitPanel(row, height, block, length); };
      // The first block also sets the output where there is nothing to add.
      if (spec_.causal && !plan_.keyBlocks.isConstant(1))
        e.branch(orFirst(e.less(e.constant(0), length), block), emit);
      else
        emit();
    });
  }

  Value orFirst(Value condition, const Range &block) {
    Value first = e.equal(block.start, e.constant(0));
    return arith::OrIOp::create(e.b, e.loc, condition, first);
  }

  /// `height` queries from `row` of the tile on, against the first `length` keys of
  /// `block`.
  void emitPanel(Value row, Value height, const Range &block, Value length) {
    Value depth = e.roundUp(spec_.headSize, depthGroup);
    TileOperands scores;
    scores.a = e.address(type_, scratchAt(plan_.q), e.mul(row, depth));
    scores.stride = scoreStride_;
    scores.groups = e.div(depth, e.constant(depthGroup));
    scores.accumulate = e.less(e.constant(0), e.constant(0));
    e.loop(e.constant(0), length, tile_.columns(), [&](Value column) {
      scores.b = e.address(type_, scratchAt(plan_.k), e.mul(column, depth));
      scores.c = e.address(type_, scratchAt(plan_.scores), column);
      callMicrokernel(e, type_, tile_, heights_, height, scores);
    });
    e.loop(height, [&](Value i) { emitRow(row, i, height, block, length); });
    emitOutput(row, height, block, length);
  }

  /// Row `i` of the panel that begins at `row`: softmax of the scores, which become a
  /// row of the packed weights.
  void emitRow(Value row, Value i, Value height, const Range &block, Value length) {
    Value scores = e.address(type_, scratchAt(plan_.scores), e.mul(i, scoreStride_));
    Value query = e.add(row, i);
    Value maximumAt = e.address(type_, scratchAt(plan_.maxima), query);
    Value sumAt = e.address(type_, scratchAt(plan_.sums), query);
    Value before = e.load(type_, maximumAt);
    Value maximum = finishScores(scores, e.add(queries_.start, query), block, length);
    maximum = larger(maximum, before);
    e.store(maximum, maximumAt);
    // A row without any score above -inf so far: all weights become 0.
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, maximum,
                                       minusInfinity());
    Value shift = e.select(none, scalar(0), maximum);
    Value sum = emitWeights(scores, shift, i, height, length);
    if (!plan_.keyBlocks.isConstant(1)) {
      Value difference = arith::SubFOp::create(e.b, e.loc, before, shift);
      Value alpha = math::ExpOp::create(e.b, e.loc, spread(difference));
      Value first = e.equal(block.start, e.constant(0));
      e.branch(first, [] {}, [&] { rescaleOutput(query, alpha); });
      Value factor = vector::ExtractOp::create(e.b, e.loc, alpha, 0);
      Value old = arith::MulFOp::create(e.b, e.loc, e.load(type_, sumAt), factor);
      sum = arith::AddFOp::create(e.b, e.loc, sum, old);
    }
    e.store(sum, sumAt);
  }

  /// The larger one; `y` where x is NaN. A NaN reaches the result by its weight.
  Value larger(Value x, Value y) {
    Value greater = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, x, y);
    return e.select(greater, x, y);
  }

  /// Completes the scores of one query in place and gives their maximum.
  Value finishScores(Value scores, Value query, const Range &block, Value length) {
    Value whole = e.roundDown(length, tile_.lanes);
    Value initial = spread(minusInfinity());
    auto step = [&](Value column, Value best, Value mask) -> Value {
      Value at = e.address(type_, scores, column);
      Value values = e.load(vector_, at, Value());
      Value key = e.add(block.start, column);
      if (spec_.score)
        values = spec_.score(e.b, e.loc, batchHead_, query, key, values, mask);
      if (spec_.causal) {
        Value visible = e.laneMask(tile_.lanes, e.add(e.sub(query, key), 1));
        values = e.select(visible, values, initial);
      }
      if (mask)
        values = e.select(mask, values, initial);
      if (spec_.score || spec_.causal || mask)
        e.store(values, at);
      return larger(values, best);
    };
    Value best = e.loop(e.constant(0), whole, tile_.lanes, initial,
                        [&](Value column, ValueRange best) -> SmallVector<Value> {
                          return {step(column, best[0], Value())};
                        })[0];
    best = e.loop(whole, length, tile_.lanes, best,
                  [&](Value column, ValueRange best) -> SmallVector<Value> {
                    Value mask = e.laneMask(tile_.lanes, e.sub(length, column));
                    return {step(column, best[0], mask)};
                  })[0];
    // `larger` leaves no NaN.
    return vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::MAXNUMF, best,
                                       arith::FastMathFlags::nnan);
  }

  /// exp(score - shift) of one row, into the packed weights; gives their sum. Scores
  /// past `length`, up to a whole vector, are -inf.
  Value emitWeights(Value scores, Value shift, Value i, Value height, Value length) {
    Value weights = scratchAt(plan_.weights);
    Value sums = e.loop(
        e.constant(0), length, tile_.lanes, e.zero(vector_),
        [&](Value column, ValueRange sums) -> SmallVector<Value> {
          Value values = e.load(vector_, e.address(type_, scores, column), Value());
          Value shifted = arith::SubFOp::create(e.b, e.loc, values, spread(shift));
          Value weight = math::ExpOp::create(e.b, e.loc, shifted);
          storeWeights(weight, weights, column, i, height);
          return {arith::AddFOp::create(e.b, e.loc, sums[0], weight)};
        })[0];
    return vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::ADD, sums,
                                       arith::FastMathFlags::reassoc);
  }

  /// Writes one vector of row `i` as the left operand of P V.
  void storeWeights(Value weight, Value weights, Value column, Value i, Value height) {
    if (thin_)
      return e.store(weight,
                     e.address(type_, weights, e.add(e.mul(i, keyBlock_), column)));
    int64_t part = std::min(depthGroup, tile_.lanes);
    for (int64_t lane = 0; lane < tile_.lanes; lane += part) {
      Value k = e.add(column, lane);
      Value inGroup = e.rem(k, e.constant(depthGroup));
      Value index =
          e.add(e.add(e.mul(e.sub(k, inGroup), height), inGroup), e.mul(i, depthGroup));
      e.store(e.slice(weight, lane, part), e.address(type_, weights, index));
    }
  }

  Value outputAt(Value row, Value column) {
    if (thin_)
      return e.address(type_, scratchAt(plan_.output),
                       e.add(e.mul(row, outputStride()), column));
    Value index = e.add(e.mul(column, rows_), e.mul(row, tile_.columns()));
    return e.address(type_, scratchAt(plan_.output), index);
  }

  void rescaleOutput(Value row, Value alpha) {
    e.loop(e.constant(0), spec_.valueSize, tile_.columns(), [&](Value column) {
      for (int64_t v = 0; v < tile_.vectors; ++v) {
        Value at = e.address(type_, outputAt(row, column), v * tile_.lanes);
        Value values = e.load(vector_, at, Value());
        e.store(arith::MulFOp::create(e.b, e.loc, values, alpha), at);
      }
    });
  }

  /// O += P V for one panel.
  void emitOutput(Value row, Value height, const Range &block, Value length) {
    Value depth = e.roundUp(length, depthGroup);
    Value packedDepth = e.roundUp(block.length, depthGroup);
    clearWeightTail(height, length, depth);
    TileOperands output;
    output.a = scratchAt(plan_.weights);
    output.stride = e.constant(tile_.columns());
    output.groups = e.div(depth, e.constant(depthGroup));
    output.accumulate = e.less(e.constant(0), block.start);
    e.loop(e.constant(0), spec_.valueSize, tile_.columns(), [&](Value column) {
      output.b = e.address(type_, scratchAt(plan_.v), e.mul(column, packedDepth));
      output.c = outputAt(row, column);
      callMicrokernel(e, type_, tile_, heights_, height, output);
    });
  }

  /// Vectors shorter than a group leave part of the last one unwritten.
  void clearWeightTail(Value height, Value length, Value depth) {
    if (tile_.lanes >= depthGroup)
      return;
    Value written = e.roundUp(length, tile_.lanes);
    e.loop(written, depth, tile_.lanes, [&](Value column) {
      e.loop(height, [&](Value i) {
        storeWeights(e.zero(vector_), scratchAt(plan_.weights), column, i, height);
      });
    });
  }

  void storeOutput() {
    std::optional<int64_t> size = constantOf(spec_.valueSize);
    Value whole = e.roundDown(spec_.valueSize, tile_.lanes);
    e.loop(queries_.length, [&](Value row) {
      Value sum = e.load(type_, e.address(type_, scratchAt(plan_.sums), row));
      Value none =
          arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, sum, scalar(0));
      Value inverse = arith::DivFOp::create(e.b, e.loc, scalar(1), sum);
      // Without weights the output is 0, times infinity NaN.
      inverse = spread(spec_.nanRows ? inverse : e.select(none, scalar(0), inverse));
      auto store = [&](Value column, Value mask) {
        // Columns lie in panels; lanes divide the columns of a panel.
        Value inPanel = e.rem(column, e.constant(tile_.columns()));
        Value at = e.address(type_, outputAt(row, e.sub(column, inPanel)), inPanel);
        Value values =
            arith::MulFOp::create(e.b, e.loc, e.load(vector_, at, Value()), inverse);
        spec_.store(e.b, e.loc, batchHead_, e.add(queries_.start, row), column, values,
                    mask);
      };
      e.loop(e.constant(0), whole, tile_.lanes,
             [&](Value column) { store(column, Value()); });
      if (size && *size % tile_.lanes == 0)
        return;
      e.branch(e.less(whole, spec_.valueSize), [&] {
        store(whole, e.laneMask(tile_.lanes, e.sub(spec_.valueSize, whole)));
      });
    });
  }

  Emitter e;
  const AttentionSpec &spec_;
  RegisterTile tile_;
  Type type_;
  VectorType vector_;
  Value scratch_;
  std::map<std::string, Value> symbols_;
  Plan plan_;
  bool wholeTiles_ = false;
  bool thin_ = false; ///< few queries: K and V are read in place
  std::vector<int64_t> heights_;
  Value rows_, keyBlock_, scoreStride_, batchHead_;
  Range queries_;
  RowPanels panels_;
};

} // namespace

AttentionBlocking chooseAttentionBlocking(const Target &target, int64_t elementBytes) {
  AttentionBlocking blocking;
  blocking.registers = chooseRegisterTile(target, elementBytes);
  blocking.elementBytes = elementBytes;
  // More rows amortize the packing of keys and values; fewer give more tiles.
  blocking.maxRows = 128;
  blocking.maxKeys = 512 * 4 / elementBytes;
  return blocking;
}

Expr attentionGridSize(const AttentionBlocking &blocking, const Expr &batchHeads,
                       const Expr &queries) {
  return batchHeads * makePlan(blocking, queries, 1, 1, 1).rowTiles;
}

Expr attentionScratchBytes(const AttentionBlocking &blocking, const Expr &queries,
                           const Expr &keys, const Expr &headSize,
                           const Expr &valueSize) {
  return makePlan(blocking, queries, keys, headSize, valueSize).total *
         blocking.elementBytes;
}

void emitAttentionTile(OpBuilder &builder, Location loc, const AttentionSpec &spec,
                       const AttentionBlocking &blocking, Value tileIndex,
                       Value scratch) {
  AttentionEmitter(builder, loc, spec, blocking, scratch).emitTile(tileIndex);
}

} // namespace rtorch::gemm
