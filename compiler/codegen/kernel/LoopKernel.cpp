#include "compiler/codegen/kernel/LoopKernel.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

/// About this many elements make a tile: enough to pay for its launch, few enough to
/// spread.
constexpr int64_t kTileElements = 16384;

/// A reduction of so many terms is worth reading more than a cache line of each.
constexpr int64_t kLongColumn = 32;

//===----------------------------------------------------------------------===//
// The cut into tiles
//===----------------------------------------------------------------------===//

Expr LoopKernel::rowElements() const { return nest_.product(nest_.reduced); }

namespace {

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
  if (!nest.transposed.empty()) { // a chunk of the dims along is a row
    cut.rows *= layout::ceildiv(nest.product(nest.along), LoopKernel::kSquareTile);
    return {cut.rows, 1, LoopKernel::kSquareTile,
            layout::ceildiv(nest.laneSize(), LoopKernel::kSquareTile)};
  }
  if (nest.gathers)
    return {cut.rows, LoopKernel::kSquareTile, LoopKernel::kSquareTile,
            layout::ceildiv(nest.laneSize(), LoopKernel::kSquareTile)};
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

} // namespace

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

/// Element of a row buffer: linear over the reduced dims, the lanes' dim last; where
/// lanes run over rows, a vector for each.
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

KernelInfo emitLoopKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                          const Target &target) {
  LoopNest nest = LoopNest::of(kernel, target);
  return emitKernelOf<LoopKernel>(builder, kernel, symbol, nest,
                                  Stages::of(kernel, nest));
}

} // namespace rtorch::codegen
