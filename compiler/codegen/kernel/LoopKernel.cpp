// Pointwise chains, data movement and reductions: loops over rows, vectors along the
// lane dim. Reductions make stages: each stage walks the row once, later stages use the
// results of earlier ones.
#include "compiler/codegen/kernel/KernelFunction.h"
#include "compiler/codegen/kernel/LoopNest.h"
#include "compiler/codegen/kernel/Stages.h"

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

using Body = llvm::function_ref<void(Evaluator &, const Indices &)>;

class LoopKernel {
public:
  LoopKernel(KernelState &state, const LoopNest &nest, const Stages &stages)
      : state_(state), nest_(nest), stages_(stages) {}

  KernelInfo info();
  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  void emitPointwiseTile(gemm::Emitter &e, Value tile);
  void emitRow(gemm::Emitter &e, Value row, Value laneStart, Value laneEnd);
  /// Reduces every value of one stage over the row at `position`.
  void emitStage(gemm::Emitter &e, size_t stage, const Indices &position, Value mask);
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
                               const Indices &position, Value mask, size_t stage);
  SmallVector<Value> accumulate(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                                const Indices &position, Value mask,
                                SmallVector<Value> neutral, size_t stage);
  using Step = llvm::function_ref<SmallVector<Value>(Value, ValueRange)>;
  SmallVector<Value> sumLoop(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                             Value end, int64_t by, ValueRange initial,
                             ValueRange neutral, Step body);
  Value combineLanes(gemm::Emitter &e, Operation *reduction, Value lanes);

  Value scratchAddress(Evaluator &evaluator, size_t buffer, const Indices &indices);
  Expr rowElements() const;

  KernelState &state_;
  const LoopNest &nest_;
  const Stages &stages_;
  Value scratch_;
  llvm::DenseMap<Value, Evaluator::Binding> bindings_;
};

//===----------------------------------------------------------------------===//
// The cut into tiles
//===----------------------------------------------------------------------===//

Expr LoopKernel::rowElements() const { return nest_.product(nest_.reduced); }

struct Cut {
  Expr rows, rowsPerTile, laneChunk, laneChunks;
};

/// Rows are grouped to tiles of about kTileElements; a long lane dim that is not
/// reduced is cut too.
Cut cutOf(const LoopNest &nest) {
  Cut cut;
  cut.rows = nest.product(nest.outer);
  if (nest.gathers)
    return {cut.rows, kSquareTile, kSquareTile,
            layout::ceildiv(nest.laneSize(), kSquareTile)};
  Expr row = nest.product(nest.reducedOuter) * nest.laneSize();
  if (nest.laneDim >= 0 && !nest.lanesReduced()) {
    Expr chunk = nest.reduced.empty()
                     ? Expr(kTileElements)
                     : layout::max(floordiv(kTileElements,
                                            layout::max(nest.product(nest.reduced), 1) *
                                                nest.width),
                                   1) *
                           nest.width;
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
  Cut cut = cutOf(nest_);
  KernelInfo info;
  info.grid = layout::ceildiv(cut.rows, cut.rowsPerTile) * cut.laneChunks;
  Expr buffer = layout::ceildiv(
                    rowElements() * (nest_.lanesReduced() ? 1 : nest_.width) * 8, 64) *
                64;
  info.scratchBytes = buffer * Expr(static_cast<int64_t>(stages_.stored.size()));
  return info;
}

void LoopKernel::emitTile(OpBuilder &builder, Value tile, Value scratch) {
  gemm::Emitter e(builder, state_.kernel.getLoc());
  scratch_ = scratch;
  Cut cut = cutOf(nest_);
  auto lower = [&](const Expr &expr) { return e.lower(expr, state_.symbols); };
  Value chunks = lower(cut.laneChunks), rowsPerTile = lower(cut.rowsPerTile);
  Value firstRow = e.mul(e.div(tile, chunks), rowsPerTile);
  Value lastRow = e.min(e.add(firstRow, rowsPerTile), lower(cut.rows));
  Value chunk = lower(cut.laneChunk), laneStart = e.mul(e.rem(tile, chunks), chunk);
  Value laneEnd = e.min(e.add(laneStart, chunk), lower(nest_.laneSize()));
  e.loop(firstRow, lastRow, 1, [&](Value row) { emitRow(e, row, laneStart, laneEnd); });
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
  auto stagesAt = [&](const Indices &at, Value mask) {
    bindings_.clear();
    for (size_t stage = 0; stage < stages_.reductions.size(); ++stage)
      emitStage(e, stage, at, mask);
    emitOutputs(e, at, mask);
  };
  if (nest_.laneDim < 0 || nest_.lanesReduced())
    return stagesAt(position, {});
  forLanes(e, laneStart, laneEnd, [&](Value lane, Value mask) {
    Indices at = position;
    at[nest_.laneDim] = laneIndex(lane);
    stagesAt(at, mask);
  });
}

void LoopKernel::emitStage(gemm::Emitter &e, size_t stage, const Indices &position,
                           Value mask) {
  ArrayRef<Operation *> reductions = stages_.reductions[stage];
  SmallVector<Value> results = reduceRow(e, reductions, position, mask, stage);
  for (auto [reduction, result] : llvm::zip_equal(reductions, results)) {
    Value known = result;
    bindings_[reduction->getResult(0)] = [known](Evaluator &, ArrayRef<Index>) {
      return known;
    };
  }
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

/// Element of a row buffer: linear over the reduced dims; where lanes run over rows, a
/// vector for each.
Value LoopKernel::scratchAddress(Evaluator &evaluator, size_t buffer,
                                 const Indices &indices) {
  gemm::Emitter &e = evaluator.emitter();
  Value linear = e.constant(0);
  for (int64_t dim : nest_.reduced)
    linear = e.add(e.mul(linear, evaluator.lower(nest_.sizes[dim])), indices[dim].base);
  if (!nest_.lanesReduced())
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
// Reductions
//===----------------------------------------------------------------------===//

static SmallVector<Value> combineAll(gemm::Emitter &e, ArrayRef<Operation *> reductions,
                                     ValueRange a, ValueRange b) {
  FormulaBuilder f(e.b, e.loc);
  SmallVector<Value> result;
  for (auto [i, op] : llvm::enumerate(reductions))
    result.push_back(cast<rt::ReductionOpInterface>(op).emitCombine(f, a[i], b[i]));
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
                                          const Indices &position, Value mask,
                                          SmallVector<Value> neutral, size_t stage) {
  auto step = [&](const Indices &at, Value laneMask, ValueRange partial) {
    Evaluator values = evaluator(e, laneMask ? laneMask : mask);
    FormulaBuilder f(e.b, e.loc);
    SmallVector<Value> next;
    for (auto [i, op] : llvm::enumerate(reductions)) {
      Value x = values.vectorAt(op->getOperand(0), at);
      auto reduction = cast<rt::ReductionOpInterface>(op);
      if (laneMask) // lanes past the end are neutral
        x = f.select(laneMask, x, reduction.emitInitial(f, x.getType()));
      next.push_back(reduction.emitCombine(f, partial[i], x));
    }
    for (size_t i = 0; i < stages_.stored.size(); ++i)
      if (stages_.stored[i].stage == stage)
        e.store(values.vectorAt(stages_.stored[i].value, at),
                scratchAddress(values, i, at), laneMask);
    return next;
  };
  auto lanes = [&](const Indices &at, ValueRange partial) {
    if (!nest_.lanesReduced())
      return step(at, {}, partial);
    Value size = e.lower(nest_.laneSize(), state_.symbols);
    Value whole = e.roundDown(size, nest_.width);
    auto atLane = [&](Value lane) {
      Indices moved = at;
      moved[nest_.laneDim] = laneIndex(lane);
      return moved;
    };
    SmallVector<Value> result = sumLoop(
        e, reductions, whole, nest_.width, partial, neutral,
        [&](Value lane, ValueRange inner) { return step(atLane(lane), {}, inner); });
    std::optional<int64_t> constant = nest_.laneSize().constant();
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
  };
  if (nest_.reducedOuter.empty())
    return lanes(position, neutral);
  Value count = e.lower(nest_.product(nest_.reducedOuter), state_.symbols);
  std::optional<int64_t> laneSize = nest_.laneSize().constant();
  bool apart =
      nest_.lanesReduced() && (!laneSize || *laneSize > kBlock / 8 * nest_.width);
  return sumLoop(
      e, reductions, count, 1, neutral, neutral, [&](Value linear, ValueRange partial) {
        Indices at = delinearize(e, position, nest_.reducedOuter, linear);
        if (apart) // each lane loop is a level of its own
          return combineAll(e, reductions, partial, lanes(at, neutral));
        return lanes(at, partial);
      });
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
                                         const Indices &position, Value mask,
                                         size_t stage) {
  FormulaBuilder f(e.b, e.loc);
  SmallVector<Value> initial;
  for (Operation *op : reductions) {
    Type element = registerType(tensorType(op->getOperand(0)).getElementType());
    Type type =
        nest_.width == 1 ? element : Type(VectorType::get(nest_.width, element));
    initial.push_back(cast<rt::ReductionOpInterface>(op).emitInitial(f, type));
  }
  SmallVector<Value> results =
      accumulate(e, reductions, position, mask, initial, stage);
  if (nest_.width > 1 && nest_.lanesReduced())
    for (auto [op, result] : llvm::zip_equal(reductions, results))
      result = combineLanes(e, op, result);
  for (auto [op, result] : llvm::zip_equal(reductions, results))
    result = roundTo(f, result, tensorType(op->getResult(0)).getElementType());
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
