// Pointwise chains, data movement and reductions: loops over rows, vectors along the
// lane dim. Reductions make stages: each stage walks the row once, later stages use the
// results of earlier ones.
#include "compiler/codegen/kernel/KernelFunction.h"
#include "compiler/codegen/kernel/LoopNest.h"
#include "compiler/codegen/kernel/Stages.h"
#include "compiler/codegen/kernel/Transpose.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;
namespace {

/// About this many elements make a tile: enough to pay for its launch, few enough to
/// spread.
constexpr int64_t kTileElements = 16384;

/// Terms that are added up one after the other before a new sum begins.
constexpr int64_t kBlock = 256;

/// Rows and lanes of a tile whose operands are read across their cache lines: what it
/// touches stays in the first-level cache.
constexpr int64_t kSquareTile = 64;

/// Up to so many steps over a window are written out.
constexpr int64_t kUnrolledWindow = 64;

/// A reduction of so many terms is worth reading more than a cache line of each.
constexpr int64_t kLongColumn = 32;

class LoopKernel {
public:
  LoopKernel(KernelState &state, const LoopNest &nest, const Stages &stages)
      : state_(state), nest_(nest), stages_(stages) {
    findPads();
  }

  KernelInfo info();
  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  void emitPointwiseTile(gemm::Emitter &e, Value tile);
  void emitRow(gemm::Emitter &e, Value row, Value laneStart, Value laneEnd);
  /// Emits rows whose lanes are not reduced, several vectors of lanes at a time.
  void emitColumns(gemm::Emitter &e, const Indices &position, Value laneStart,
                   Value laneEnd);
  /// Everything of the row at each of `positions`, which are neighbours.
  void emitStages(gemm::Emitter &e, ArrayRef<Indices> positions, Value mask);
  void emitAllStages(gemm::Emitter &e, ArrayRef<Indices> positions, Value mask);

  void findPads();
  /// Whether all that the reductions see at `positions` lies inside the padded tensors.
  Value liesInside(gemm::Emitter &e, ArrayRef<Indices> positions);
  /// Reduces every value of one stage over the row at `position`.
  void emitStage(gemm::Emitter &e, size_t stage, const Indices &position, Value mask);
  void bindResults(ArrayRef<Operation *> reductions, ValueRange results);
  void emitOutputs(gemm::Emitter &e, const Indices &position, Value mask);
  /// Stores the yielded values of one level: per element of the domain, or per row.
  void storeOutputs(Evaluator &evaluator, const Indices &indices, bool reducedLevel);

  /// Loops over the lanes [start, end) of the lane dim, a vector at a time.
  void forLanes(gemm::Emitter &e, Value start, Value end,
                llvm::function_ref<void(Value lane, Value mask)> body);
  Indices delinearize(gemm::Emitter &e, Indices position, ArrayRef<int64_t> dims,
                      Value linear);
  Evaluator evaluator(gemm::Emitter &e, Value mask);
  Index laneIndex(Value lane) const { return {lane, nest_.width > 1 ? 1 : 0, {}}; }

  /// Accumulates `values` over the row; gives them combined over lanes if those are
  /// reduced.
  SmallVector<Value> reduceRow(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                               ArrayRef<Indices> positions, Value mask, size_t stage);
  SmallVector<Value> accumulate(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                                ArrayRef<Indices> positions, Value mask,
                                SmallVector<Value> neutral, size_t stage);
  using Step = llvm::function_ref<SmallVector<Value>(Value, ValueRange)>;
  SmallVector<Value> sumLoop(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                             Value end, int64_t by, ValueRange initial,
                             ValueRange neutral, Step body);
  /// Adds the elements at some places to partial results.
  using LaneStep =
      llvm::function_ref<SmallVector<Value>(ArrayRef<Indices>, Value mask, ValueRange)>;
  SmallVector<Value> reduceLanes(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                                 const Indices &at, ValueRange partial,
                                 ValueRange neutral, LaneStep step);
  Value combineLanes(gemm::Emitter &e, Operation *reduction, Value lanes);
  /// Partial results that a walk along the lanes keeps.
  int64_t sumsSideBySide() const;
  /// Whether the window at `places` places is short enough to write out all steps.
  bool isShortWindow(int64_t places) const {
    if (!nest_.windows || nest_.lanesReduced() || (!pads_.empty() && !inside_))
      return false;
    std::optional<int64_t> terms = nest_.product(nest_.reducedOuter).constant();
    return terms && *terms * places <= kUnrolledWindow;
  }

  void emitTransposedTile(gemm::Emitter &e, Value row, Value laneStart, Value laneEnd);
  void emitSquare(gemm::Emitter &e, Indices position, Value along, Value lane);
  /// Makes row `row` of a transposed argument's square known at `at`.
  void bindSquare(gemm::Emitter &e, size_t square, unsigned number, const Indices &at,
                  Value row);
  Value squareAddress(gemm::Emitter &e, size_t square, Type vector, Value row);
  int64_t squareBytes() const { return nest_.width * nest_.width * 8; }

  Value scratchAddress(Evaluator &evaluator, size_t buffer, const Indices &indices);
  Expr rowElements() const;

  KernelState &state_;
  const LoopNest &nest_;
  const Stages &stages_;
  Value scratch_;
  llvm::DenseMap<Value, Evaluator::Binding> bindings_;
  Evaluator::Pads pads_; ///< that windows look through
  bool inside_ = false;  ///< the code being emitted runs where windows are inside
};

//===----------------------------------------------------------------------===//
// The cut into tiles
//===----------------------------------------------------------------------===//

Expr LoopKernel::rowElements() const { return nest_.product(nest_.reduced); }

struct Cut {
  Expr rows, rowsPerTile, laneChunk, laneChunks;
};

/// Vectors of lanes that one walk over rows reduces together: a walk that takes one
/// vector of each row uses a single cache line of every page.
int64_t columnVectors(const LoopNest &nest, const Stages &stages) {
  if (nest.lanesReduced() || nest.width == 1 || stages.reductions.size() != 1 ||
      !stages.stored.empty())
    return 1;
  int64_t vectors = std::max<int64_t>(1, 8 / stages.reductions[0].size());
  std::optional<int64_t> lanes = nest.laneSize().constant(),
                         terms = nest.product(nest.reduced).constant();
  if (terms && *terms < kLongColumn && !nest.windows)
    return 1;
  if (nest.windows)
    vectors = std::min<int64_t>(vectors, 4);
  while (lanes && vectors > 1 && vectors * nest.width > *lanes)
    vectors /= 2;
  return vectors;
}

/// Rows are grouped to tiles of about kTileElements; a long lane dim that is not
/// reduced is cut too.
Cut cutOf(const LoopNest &nest, const Stages &stages) {
  Cut cut;
  cut.rows = nest.product(nest.outer);
  if (!nest.transposed.empty()) { // a chunk of the last outer dim is a row
    Expr along = nest.sizes[nest.outer.back()];
    cut.rows = nest.product(ArrayRef(nest.outer).drop_back()) *
               layout::ceildiv(along, kSquareTile);
    return {cut.rows, 1, kSquareTile, layout::ceildiv(nest.laneSize(), kSquareTile)};
  }
  if (nest.gathers)
    return {cut.rows, kSquareTile, kSquareTile,
            layout::ceildiv(nest.laneSize(), kSquareTile)};
  Expr row = nest.product(nest.reducedOuter) * nest.laneSize();
  if (nest.laneDim >= 0 && !nest.lanesReduced()) {
    int64_t group = columnVectors(nest, stages) * nest.width;
    Expr chunk =
        nest.reduced.empty()
            ? Expr(kTileElements)
            : layout::max(floordiv(kTileElements,
                                   layout::max(nest.product(nest.reduced), 1) * group),
                          1) *
                  group;
    cut.laneChunk = chunk;
    cut.laneChunks = layout::ceildiv(nest.laneSize(), chunk);
    row = layout::min(nest.laneSize(), chunk) * nest.product(nest.reducedOuter);
  } else {
    cut.laneChunk = nest.laneSize();
    cut.laneChunks = 1;
  }
  cut.rowsPerTile = layout::max(floordiv(kTileElements, layout::max(row, 1)), 1);
  return cut;
}

KernelInfo LoopKernel::info() {
  Cut cut = cutOf(nest_, stages_);
  KernelInfo info;
  info.grid = layout::ceildiv(cut.rows, cut.rowsPerTile) * cut.laneChunks;
  Expr buffer = layout::ceildiv(
                    rowElements() * (nest_.lanesReduced() ? 1 : nest_.width) * 8, 64) *
                64;
  info.scratchBytes = buffer * Expr(static_cast<int64_t>(stages_.stored.size()));
  if (!nest_.transposed.empty())
    info.scratchBytes = squareBytes() * static_cast<int64_t>(nest_.transposed.size());
  return info;
}

void LoopKernel::emitTile(OpBuilder &builder, Value tile, Value scratch) {
  gemm::Emitter e(builder, state_.kernel.getLoc());
  scratch_ = scratch;
  Cut cut = cutOf(nest_, stages_);
  auto lower = [&](const Expr &expr) { return e.lower(expr, state_.symbols); };
  Value chunks = lower(cut.laneChunks), rowsPerTile = lower(cut.rowsPerTile);
  Value firstRow = e.mul(e.div(tile, chunks), rowsPerTile);
  Value lastRow = e.min(e.add(firstRow, rowsPerTile), lower(cut.rows));
  Value chunk = lower(cut.laneChunk), laneStart = e.mul(e.rem(tile, chunks), chunk);
  Value laneEnd = e.min(e.add(laneStart, chunk), lower(nest_.laneSize()));
  if (!nest_.transposed.empty())
    return emitTransposedTile(e, firstRow, laneStart, laneEnd);
  e.loop(firstRow, lastRow, 1, [&](Value row) { emitRow(e, row, laneStart, laneEnd); });
}

//===----------------------------------------------------------------------===//
// Squares
//===----------------------------------------------------------------------===//

void LoopKernel::emitTransposedTile(gemm::Emitter &e, Value row, Value laneStart,
                                    Value laneEnd) {
  Value size = e.lower(nest_.sizes[nest_.outer.back()], state_.symbols);
  Value chunks = e.div(e.add(size, kSquareTile - 1), e.constant(kSquareTile));
  Value start = e.mul(e.rem(row, chunks), kSquareTile);
  Value end = e.min(e.add(start, kSquareTile), size);
  Indices position(nest_.sizes.size(), Index{e.constant(0)});
  position =
      delinearize(e, position, ArrayRef(nest_.outer).drop_back(), e.div(row, chunks));
  auto rowAt = [&](Value along, Value lane, Value mask) {
    bindings_.clear();
    Indices at = position;
    at[nest_.outer.back()] = Index{along};
    at[nest_.laneDim] = laneIndex(lane);
    emitOutputs(e, at, mask);
  };
  Value squares = e.add(start, e.roundDown(e.sub(end, start), nest_.width));
  forLanes(e, laneStart, laneEnd, [&](Value lane, Value mask) {
    if (mask)
      return e.loop(start, end, 1, [&](Value along) { rowAt(along, lane, mask); });
    e.loop(start, squares, nest_.width,
           [&](Value along) { emitSquare(e, position, along, lane); });
    e.loop(squares, end, 1, [&](Value along) { rowAt(along, lane, {}); });
  });
}

/// One row for each lane: the transposed arguments are read contiguously, turned and
/// kept in scratch memory, where the rows find them.
void LoopKernel::emitSquare(gemm::Emitter &e, Indices position, Value along,
                            Value lane) {
  int64_t dim = nest_.outer.back();
  for (auto [i, number] : llvm::enumerate(nest_.transposed)) {
    TensorType type = tensorType(state_.kernel.getBlock().getArgument(number));
    SmallVector<Value> rows;
    for (int64_t j = 0; j < nest_.width; ++j) {
      Evaluator values = evaluator(e, {});
      Indices at = position;
      at[dim] = laneIndex(along);
      at[nest_.laneDim] = Index{e.add(lane, j)};
      rows.push_back(values.load(type, state_.buffers[number], at));
    }
    for (auto [j, column] : llvm::enumerate(transposeSquare(e, rows)))
      e.store(column, squareAddress(e, i, column.getType(), e.constant(j)));
  }
  e.loop(e.constant(nest_.width), [&](Value row) {
    Indices at = position;
    at[dim] = Index{e.add(along, row)};
    at[nest_.laneDim] = laneIndex(lane);
    bindings_.clear();
    for (auto [i, number] : llvm::enumerate(nest_.transposed))
      bindSquare(e, i, number, at, row);
    emitOutputs(e, at, {});
  });
}

void LoopKernel::bindSquare(gemm::Emitter &e, size_t square, unsigned number,
                            const Indices &at, Value row) {
  BlockArgument argument = state_.kernel.getBlock().getArgument(number);
  TensorType type = tensorType(argument);
  auto vector = VectorType::get(nest_.width, registerType(type.getElementType()));
  Value known = e.load(vector, squareAddress(e, square, vector, row));
  bindings_[argument] = [=, this](Evaluator &values, ArrayRef<Index> indices) {
    // Other elements of the argument may be needed too.
    return Indices(indices) == at ? known
                                  : values.load(type, state_.buffers[number], indices);
  };
}

Value LoopKernel::squareAddress(gemm::Emitter &e, size_t square, Type vector,
                                Value row) {
  Value start = e.address(e.b.getI8Type(), scratch_, square * squareBytes());
  return e.address(FormulaBuilder::elementOf(vector), start, e.mul(row, nest_.width));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

Indices LoopKernel::delinearize(gemm::Emitter &e, Indices position,
                                ArrayRef<int64_t> dims, Value linear) {
  for (size_t i = dims.size(); i-- > 0;) {
    Value size = e.lower(nest_.sizes[dims[i]], state_.symbols);
    position[dims[i]] = Index{i ? e.rem(linear, size) : linear};
    if (i)
      linear = e.div(linear, size);
  }
  return position;
}

Evaluator LoopKernel::evaluator(gemm::Emitter &e, Value mask) {
  Evaluator result(state_, e.b, e.loc, nest_.width, mask);
  result.setBindings(bindings_);
  return result;
}

void LoopKernel::forLanes(gemm::Emitter &e, Value start, Value end,
                          llvm::function_ref<void(Value, Value)> body) {
  if (nest_.width == 1)
    return e.loop(start, end, 1, [&](Value lane) { body(lane, {}); });
  Value count = e.sub(end, start), whole = e.roundDown(count, nest_.width);
  Value tail = e.add(start, whole);
  e.loop(start, tail, nest_.width, [&](Value lane) { body(lane, {}); });
  e.branch(e.less(tail, end),
           [&] { body(tail, e.laneMask(nest_.width, e.sub(end, tail))); });
}

void LoopKernel::emitRow(gemm::Emitter &e, Value row, Value laneStart, Value laneEnd) {
  Indices position(nest_.sizes.size(), Index{e.constant(0)});
  position = delinearize(e, position, nest_.outer, row);
  if (nest_.laneDim < 0 || nest_.lanesReduced())
    return emitStages(e, position, {});
  emitColumns(e, position, laneStart, laneEnd);
}

void LoopKernel::emitColumns(gemm::Emitter &e, const Indices &position, Value laneStart,
                             Value laneEnd) {
  auto vectorsAt = [&](Value lane, int64_t vectors, Value mask) {
    SmallVector<Indices> positions(vectors, position);
    for (int64_t i = 0; i < vectors; ++i)
      positions[i][nest_.laneDim] = laneIndex(e.add(lane, i * nest_.width));
    emitStages(e, positions, mask);
  };
  int64_t vectors = columnVectors(nest_, stages_);
  if (vectors > 1) {
    Value whole =
        e.add(laneStart, e.roundDown(e.sub(laneEnd, laneStart), vectors * nest_.width));
    e.loop(laneStart, whole, vectors * nest_.width,
           [&](Value lane) { vectorsAt(lane, vectors, {}); });
    laneStart = whole;
  }
  forLanes(e, laneStart, laneEnd,
           [&](Value lane, Value mask) { vectorsAt(lane, 1, mask); });
}

void LoopKernel::emitStages(gemm::Emitter &e, ArrayRef<Indices> positions, Value mask) {
  if (pads_.empty())
    return emitAllStages(e, positions, mask);
  e.branch(
      liesInside(e, positions),
      [&] {
        inside_ = true;
        emitAllStages(e, positions, mask);
        inside_ = false;
      },
      [&] { emitAllStages(e, positions, mask); });
}

void LoopKernel::emitAllStages(gemm::Emitter &e, ArrayRef<Indices> positions,
                               Value mask) {
  bindings_.clear();
  if (positions.size() == 1) {
    for (size_t stage = 0; stage < stages_.reductions.size(); ++stage)
      emitStage(e, stage, positions[0], mask);
    return emitOutputs(e, positions[0], mask);
  }
  ArrayRef<Operation *> reductions = stages_.reductions[0];
  SmallVector<Value> results = reduceRow(e, reductions, positions, mask, 0);
  for (auto [i, position] : llvm::enumerate(positions)) {
    size_t count = reductions.size();
    bindResults(reductions, ArrayRef(results).slice(i * count, count));
    emitOutputs(e, position, mask);
  }
}

void LoopKernel::bindResults(ArrayRef<Operation *> reductions, ValueRange results) {
  for (auto [reduction, result] : llvm::zip_equal(reductions, results)) {
    Value known = result;
    bindings_[reduction->getResult(0)] = [known](Evaluator &, ArrayRef<Index>) {
      return known;
    };
  }
}

void LoopKernel::emitStage(gemm::Emitter &e, size_t stage, const Indices &position,
                           Value mask) {
  ArrayRef<Operation *> reductions = stages_.reductions[stage];
  bindResults(reductions, reduceRow(e, reductions, position, mask, stage));
  for (size_t i = 0; i < stages_.stored.size(); ++i)
    if (stages_.stored[i].stage == stage) {
      Value value = stages_.stored[i].value;
      bindings_[value] = [this, i, value](Evaluator &evaluator,
                                          ArrayRef<Index> indices) {
        gemm::Emitter &e = evaluator.emitter();
        Type element = registerType(tensorType(value).getElementType());
        Type type =
            nest_.width == 1 ? element : Type(VectorType::get(nest_.width, element));
        return e.load(type, scratchAddress(evaluator, i, Indices(indices)));
      };
    }
}

/// Element of a row buffer: linear over the reduced dims, the lanes' dim last; where lanes
/// run over rows, a vector for each.
Value LoopKernel::scratchAddress(Evaluator &evaluator, size_t buffer,
                                 const Indices &indices) {
  gemm::Emitter &e = evaluator.emitter();
  Value linear = e.constant(0);
  auto append = [&](int64_t dim) {
    linear = e.add(e.mul(linear, evaluator.lower(nest_.sizes[dim])), indices[dim].base);
  };
  for (int64_t dim : nest_.reduced)
    if (dim != nest_.laneDim)
      append(dim);
  if (nest_.lanesReduced())
    append(nest_.laneDim);
  else
    linear = e.mul(linear, nest_.width);
  Expr stride = layout::ceildiv(
                    rowElements() * (nest_.lanesReduced() ? 1 : nest_.width) * 8, 64) *
                64;
  Value start = evaluator.lower(stride * Expr(static_cast<int64_t>(buffer)));
  Value base = e.address(e.b.getI8Type(), scratch_, start);
  return e.address(
      registerType(tensorType(stages_.stored[buffer].value).getElementType()), base,
      linear);
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

namespace {

/// Follows the first and the last place that a reduction reads to the pads below.
class PadWalk {
public:
  PadWalk(Evaluator &values) : values_(values), e_(values.emitter()) {}

  void follow(Value value, const Indices &first, const Indices &last) {
    Operation *op = value.getDefiningOp();
    if (auto pad = dyn_cast_or_null<rt::PadOp>(op))
      return meet(pad, first, last);
    if (auto view = dyn_cast_or_null<rt::ViewOpInterface>(op)) {
      std::optional<Indices> from = values_.mapView(view, first),
                             to = values_.mapView(view, last);
      if (from && to)
        follow(view.getViewSource(), *from, *to);
    } else if (isa_and_nonnull<rt::PointwiseOpInterface, rt::CloneOp>(op)) {
      for (Value operand : op->getOperands()) {
        TensorType type = tensorType(operand);
        follow(operand, values_.broadcastIndices(type, first),
               values_.broadcastIndices(type, last));
      }
    }
  }

  Evaluator::Pads pads;
  Value inside; ///< null: nothing to ask

private:
  void meet(rt::PadOp pad, const Indices &first, const Indices &last) {
    pads.insert(pad);
    TensorType source = tensorType(pad.getSource());
    for (int64_t dim = 0; dim < source.getRank(); ++dim) {
      Expr low = cast<rt::ExprAttr>(pad.getLow()[dim]).getValue();
      if (low.isConstant(0) &&
          source.getSize(dim) == tensorType(pad.getResult()).getSize(dim))
        continue;
      Value start = values_.lower(low), end = values_.lower(low + source.getSize(dim));
      add(arith::CmpIOp::create(e_.b, e_.loc, arith::CmpIPredicate::sge,
                                first[dim].base, start));
      add(e_.less(last[dim].base, end));
    }
  }

  void add(Value condition) {
    inside = inside ? Value(arith::AndIOp::create(e_.b, e_.loc, inside, condition))
                    : condition;
  }

  Evaluator &values_;
  gemm::Emitter &e_;
};

/// Whether `value` is computed from one of `pads` in a way that PadWalk does not see.
bool hidesPads(Value value, const Evaluator::Pads &pads, bool hidden) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (hidden && pads.contains(op))
    return true;
  if (isa<rt::ReductionOpInterface>(op)) // of an earlier stage: known by then
    return false;
  hidden |= !isa<rt::ViewOpInterface, rt::PointwiseOpInterface, rt::CloneOp>(op);
  return llvm::any_of(op->getOperands(),
                      [&](Value operand) { return hidesPads(operand, pads, hidden); });
}

} // namespace

void LoopKernel::findPads() {
  if (!nest_.windows || !stages_.stored.empty())
    return;
  for (rt::PadOp pad : state_.kernel.getBlock().getOps<rt::PadOp>())
    pads_.insert(pad);
  for (ArrayRef<Operation *> stage : stages_.reductions)
    for (Operation *reduction : stage)
      if (hidesPads(reduction->getOperand(0), pads_, false))
        pads_.clear();
}

Value LoopKernel::liesInside(gemm::Emitter &e, ArrayRef<Indices> positions) {
  Indices first = positions.front(), last = positions.back();
  auto size = [&](int64_t dim) { return e.lower(nest_.sizes[dim], state_.symbols); };
  for (int64_t dim : nest_.reduced)
    first[dim] = Index{e.constant(0)},
    last[dim] = Index{e.sub(size(dim), e.constant(1))};
  if (!nest_.lanesReduced() && nest_.laneDim >= 0) {
    Value end = e.sub(size(nest_.laneDim), e.constant(1));
    first[nest_.laneDim].laneStep = 0;
    last[nest_.laneDim] =
        Index{e.min(e.add(last[nest_.laneDim].base, nest_.width - 1), end)};
  }
  Evaluator values(state_, e.b, e.loc, 1, {});
  PadWalk walk(values);
  for (ArrayRef<Operation *> stage : stages_.reductions)
    for (Operation *reduction : stage)
      walk.follow(reduction->getOperand(0), first, last);
  pads_ = walk.pads;
  if (walk.inside)
    return walk.inside;
  return arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(true));
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

static SmallVector<Value> combineAll(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                                     ValueRange a, ValueRange b) {
  FormulaBuilder f(e.b, e.loc);
  SmallVector<Value> result;
  for (size_t i = 0; i < a.size(); ++i) // the reductions of one place after another
    result.push_back(cast<rt::ReductionOpInterface>(reductions[i % reductions.size()])
                         .emitCombine(f, a[i], b[i]));
  return result;
}

/// Loops over [0, end). Long sums are sums of sums of kBlock terms each, so that the
/// error grows with the levels of sums and not with the number of terms.
SmallVector<Value> LoopKernel::sumLoop(gemm::Emitter &e,
                                       ArrayRef<Operation *> reductions, Value end,
                                       int64_t by, ValueRange initial,
                                       ValueRange neutral, Step body) {
  std::function<SmallVector<Value>(int64_t, Value, Value, ValueRange)> level =
      [&](int64_t step, Value start, Value stop, ValueRange first) {
        if (step == by)
          return e.loop(start, stop, by, first, body);
        return e.loop(start, stop, step, first, [&](Value at, ValueRange partial) {
          Value last = e.min(e.add(at, step), stop);
          return combineAll(e, reductions, partial,
                            level(step / kBlock, at, last, neutral));
        });
      };
  std::optional<int64_t> terms = gemm::constantOf(end);
  int64_t step = by;
  // Sizes that are not known are rarely beyond two levels.
  while (step < by * kBlock * kBlock && (terms ? *terms > step * kBlock : step == by))
    step *= kBlock;
  return level(step, e.constant(0), end, initial);
}

/// Walks the reduced dims, with vectors along the lane dim if that is reduced.
SmallVector<Value> LoopKernel::accumulate(gemm::Emitter &e,
                                          ArrayRef<Operation *> reductions,
                                          ArrayRef<Indices> positions, Value mask,
                                          SmallVector<Value> neutral, size_t stage) {
  auto step = [&](ArrayRef<Indices> at, Value laneMask, ValueRange partial) {
    SmallVector<Value> next;
    for (const Indices &place : at) {
      Evaluator values = evaluator(e, laneMask ? laneMask : mask);
      if (inside_)
        values.setInsidePads(pads_);
      FormulaBuilder f(e.b, e.loc);
      for (Operation *op : reductions) {
        Value x = values.vectorAt(op->getOperand(0), place);
        auto reduction = cast<rt::ReductionOpInterface>(op);
        if (laneMask) // lanes past the end are neutral
          x = f.select(laneMask, x, reduction.emitInitial(f, x.getType()));
        next.push_back(reduction.emitCombine(f, partial[next.size()], x));
      }
      for (size_t i = 0; i < stages_.stored.size(); ++i)
        if (stages_.stored[i].stage == stage)
          e.store(values.vectorAt(stages_.stored[i].value, place),
                  scratchAddress(values, i, place), laneMask);
    }
    return next;
  };
  auto lanes = [&](ArrayRef<Indices> at, ValueRange partial) {
    if (!nest_.lanesReduced())
      return step(at, {}, partial);
    return reduceLanes(e, reductions, at[0], partial, neutral, step);
  };
  if (nest_.reducedOuter.empty())
    return lanes(positions, neutral);
  Value count = e.lower(nest_.product(nest_.reducedOuter), state_.symbols);
  if (isShortWindow(positions.size())) {
    SmallVector<Value> result = neutral;
    for (int64_t i = 0; i < *gemm::constantOf(count); ++i) {
      SmallVector<Indices> at;
      for (const Indices &position : positions)
        at.push_back(delinearize(e, position, nest_.reducedOuter, e.constant(i)));
      result = lanes(at, result);
    }
    return result;
  }
  std::optional<int64_t> laneSize = nest_.laneSize().constant();
  bool apart =
      nest_.lanesReduced() && (!laneSize || *laneSize > kBlock / 8 * nest_.width);
  return sumLoop(e, reductions, count, 1, neutral, neutral,
                 [&](Value linear, ValueRange partial) {
                   SmallVector<Indices> at;
                   for (const Indices &position : positions)
                     at.push_back(delinearize(e, position, nest_.reducedOuter, linear));
                   if (apart) // each lane loop is a level of its own
                     return combineAll(e, reductions, partial, lanes(at, neutral));
                   return lanes(at, partial);
                 });
}

int64_t LoopKernel::sumsSideBySide() const {
  constexpr int64_t most = 4;
  std::optional<int64_t> size = nest_.laneSize().constant();
  bool simple = stages_.stored.empty() &&
                llvm::none_of(state_.kernel.getBlock(),
                              [](Operation &op) { return isExpensive(&op); });
  return simple && nest_.width > 1 && (!size || *size >= most * nest_.width) ? most : 1;
}

/// The lane dim's part of a walk: whole vectors, then a masked one for the rest.
SmallVector<Value> LoopKernel::reduceLanes(gemm::Emitter &e,
                                           ArrayRef<Operation *> reductions,
                                           const Indices &at, ValueRange partial,
                                           ValueRange neutral, LaneStep step) {
  Value size = e.lower(nest_.laneSize(), state_.symbols);
  Value whole = e.roundDown(size, nest_.width);
  auto atLane = [&](Value lane) {
    Indices moved = at;
    moved[nest_.laneDim] = laneIndex(lane);
    return moved;
  };
  std::optional<int64_t> constant = nest_.laneSize().constant();
  auto next = [&](Value lane, ValueRange inner) {
    return step(atLane(lane), {}, inner);
  };
  SmallVector<Value> result;
  int64_t sums = sumsSideBySide();
  if (sums > 1) {
    // Several sums at once hide the latency of an addition.
    size_t count = reductions.size();
    SmallVector<Value> first(partial), others;
    for (int64_t i = 0; i < sums; ++i)
      others.append(neutral.begin(), neutral.end());
    first.append(others.begin() + count, others.end());
    Value most = e.roundDown(size, sums * nest_.width);
    first = sumLoop(e, reductions, most, sums * nest_.width, first, others,
                    [&](Value lane, ValueRange inner) {
                      SmallVector<Value> all;
                      for (int64_t i = 0; i < sums; ++i)
                        all.append(next(e.add(lane, i * nest_.width),
                                        inner.slice(i * count, count)));
                      return all;
                    });
    result = SmallVector<Value>(ArrayRef(first).take_front(count));
    for (int64_t i = 1; i < sums; ++i)
      result =
          combineAll(e, reductions, result, ArrayRef(first).slice(i * count, count));
    result = e.loop(most, whole, nest_.width, result, next);
  } else {
    result = sumLoop(e, reductions, whole, nest_.width, partial, neutral, next);
  }
  if (nest_.width == 1 || (constant && *constant % nest_.width == 0))
    return result;
  auto tail = scf::IfOp::create(e.b, e.loc, ValueRange(result).getTypes(),
                                e.less(whole, size), true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(&tail.getThenRegion().front());
  SmallVector<Value> then =
      step(atLane(whole), e.laneMask(nest_.width, e.sub(size, whole)), result);
  scf::YieldOp::create(e.b, e.loc, then);
  e.b.setInsertionPointToStart(&tail.getElseRegion().front());
  scf::YieldOp::create(e.b, e.loc, result);
  return SmallVector<Value>(tail.getResults());
}

Value LoopKernel::combineLanes(gemm::Emitter &e, Operation *op, Value lanes) {
  auto reduction = cast<rt::ReductionOpInterface>(op);
  FormulaBuilder f(e.b, e.loc);
  for (int64_t half = nest_.width / 2; half >= 1; half /= 2)
    lanes =
        reduction.emitCombine(f, e.slice(lanes, 0, half), e.slice(lanes, half, half));
  return vector::ExtractOp::create(e.b, e.loc, lanes, ArrayRef<int64_t>{0});
}

SmallVector<Value> LoopKernel::reduceRow(gemm::Emitter &e,
                                         ArrayRef<Operation *> reductions,
                                         ArrayRef<Indices> positions, Value mask,
                                         size_t stage) {
  FormulaBuilder f(e.b, e.loc);
  SmallVector<Value> initial;
  for (size_t i = 0; i < positions.size() * reductions.size(); ++i) {
    Operation *op = reductions[i % reductions.size()];
    Type element = registerType(tensorType(op->getOperand(0)).getElementType());
    Type type =
        nest_.width == 1 ? element : Type(VectorType::get(nest_.width, element));
    initial.push_back(cast<rt::ReductionOpInterface>(op).emitInitial(f, type));
  }
  SmallVector<Value> results =
      accumulate(e, reductions, positions, mask, initial, stage);
  for (auto [i, result] : llvm::enumerate(results)) {
    Operation *op = reductions[i % reductions.size()];
    if (nest_.width > 1 && nest_.lanesReduced())
      result = combineLanes(e, op, result);
    result = roundTo(f, result, tensorType(op->getResult(0)).getElementType());
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

void LoopKernel::storeOutputs(Evaluator &values, const Indices &indices,
                              bool reducedLevel) {
  size_t inputs = state_.kernel.getBlock().getNumArguments();
  for (auto [i, value] : llvm::enumerate(state_.kernel.getYield().getOperands())) {
    TensorType type = tensorType(value);
    bool full = type.getSizes() == nest_.sizes;
    if (full == reducedLevel)
      continue;
    Indices at = indices;
    if (!full && type.getRank() < static_cast<int64_t>(nest_.sizes.size()))
      for (int64_t dim : llvm::reverse(nest_.reduced))
        at.erase(at.begin() + dim);
    values.store(values.at(value, at), type, state_.buffers[inputs + i], at);
  }
}

void LoopKernel::emitOutputs(gemm::Emitter &e, const Indices &position, Value mask) {
  bool anyFull = llvm::any_of(state_.kernel.getYield().getOperands(), [&](Value value) {
    return tensorType(value).getSizes() == nest_.sizes;
  });
  bool anyReduced =
      llvm::any_of(state_.kernel.getYield().getOperands(), [&](Value value) {
        return tensorType(value).getSizes() != nest_.sizes;
      });
  if (anyReduced) {
    // Lanes that are reduced are gone: one element remains of the row.
    Evaluator values(state_, e.b, e.loc, nest_.lanesReduced() ? 1 : nest_.width, mask);
    values.setBindings(bindings_);
    storeOutputs(values, position, true);
  }
  if (!anyFull)
    return;
  auto lanes = [&](const Indices &at) {
    if (!nest_.lanesReduced()) {
      Evaluator values = evaluator(e, mask);
      return storeOutputs(values, at, false);
    }
    forLanes(e, e.constant(0), e.lower(nest_.laneSize(), state_.symbols),
             [&](Value lane, Value laneMask) {
               Indices moved = at;
               moved[nest_.laneDim] = laneIndex(lane);
               Evaluator values = evaluator(e, laneMask);
               storeOutputs(values, moved, false);
             });
  };
  if (nest_.reducedOuter.empty())
    return lanes(position);
  Value count = e.lower(nest_.product(nest_.reducedOuter), state_.symbols);
  e.loop(count, [&](Value linear) {
    lanes(delinearize(e, position, nest_.reducedOuter, linear));
  });
}

} // namespace

KernelInfo emitLoopKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                          const Target &target) {
  LoopNest nest = LoopNest::of(kernel, target);
  Stages stages = Stages::of(kernel, nest);
  KernelState state;
  state.kernel = kernel;
  LoopKernel loops(state, nest, stages);
  KernelInfo info = loops.info();
  emitKernelFunction(builder, symbol, state,
                     [&](OpBuilder &b, Value tile, Value scratch) {
                       loops.emitTile(b, tile, scratch);
                     });
  info.sites = std::move(state.sites);
  return info;
}

} // namespace rtorch::codegen
