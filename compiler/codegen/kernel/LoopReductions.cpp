// How a loop kernel reduces a row: in lanes, in several sums side by side, and in
// blocks, so that errors of long sums grow slowly.
#include "compiler/codegen/kernel/LoopKernel.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

/// Terms that are added up one after the other before a new sum begins.
constexpr int64_t kBlock = 256;

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

} // namespace rtorch::codegen
