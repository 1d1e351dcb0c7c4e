#include "compiler/codegen/kernel/ConvTile.h"

#include "runtime/format/KernelAbi.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;

//===----------------------------------------------------------------------===//
// The cut
//===----------------------------------------------------------------------===//

/// Output channels of a grid tile where the grid shall have more tiles.
constexpr int64_t kMinChannels = 64, kMaxChannels = 512, kWantedTiles = 8;

void ConvShape::findPool(rt::PackedConvolutionOp op) {
  for (Operation &other : *op->getBlock())
    if (isa<rt::ReductionOpInterface>(other))
      reduction = &other;
  if (!reduction)
    return;
  windows.pool.resize(windows.spatialDims());
  windows.pooled = tensorType(reduction->getResult(0)).getSizes();
  Value value = reduction->getOperand(0);
  while (auto unfold = value.getDefiningOp<rt::UnfoldOp>()) {
    int64_t dim = unfold.getDim() - 2;
    windows.pool[dim] = {*tensorType(value).getSizes().back().constant(),
                         static_cast<int64_t>(unfold.getStep()),
                         static_cast<int64_t>(unfold.getDilation())};
    windowDims.insert(windowDims.begin(), dim);
    value = unfold.getSource();
  }
  for (const PooledAxis &axis : windows.pool)
    poolSizes.push_back(axis.size);
}

/// Winograd's kernel computes two by two positions of the result at once: its windows
/// begin at every other position, and the last ones may reach one beyond the input.
/// Windows of two by two that are reduced are its pixels.
void ConvShape::pairPixels(rt::PackedConvolutionOp op) {
  Dims sizes = tensorType(op.getResult()).getSizes();
  for (int64_t dim = 2; dim < 4; ++dim) {
    Expr pairs = layout::ceildiv(sizes[dim], 2);
    windows.overhangs |= !reduction && pairs * Expr(2) != sizes[dim];
    windows.result[dim] = reduction ? windows.pooled[dim] : pairs;
  }
  windows.stride = {2, 2};
  windows.pool.clear();
}

ConvShape ConvShape::of(rt::PackedConvolutionOp op, const Target &target) {
  TensorType x = tensorType(op.getX()), packed = tensorType(op.getPacked());
  int64_t rank = x.getRank();
  Dims sizes = packed.getSizes();
  ConvShape shape;
  shape.windows = {x,
                   tensorType(op.getResult()).getSizes(),
                   Dims(sizes.begin() + 2, sizes.begin() + rank),
                   SmallVector<int64_t>(op.getStride()),
                   SmallVector<int64_t>(op.getPadding()),
                   SmallVector<int64_t>(op.getDilation())};
  shape.findPool(op);
  if (op.getWinograd())
    shape.pairPixels(op);
  shape.groups = sizes[0];
  shape.panels = sizes[1];
  shape.inputs = sizes[rank];
  shape.outputs = floordiv(static_cast<int64_t>(op.getChannels()), shape.groups);
  int64_t width = *sizes[rank + 1].constant();
  shape.tile.lanes = std::min(target.lanes(x.getElementBytes()), width);
  shape.tile.vectors = width / shape.tile.lanes;
  shape.tile.rows = std::min<int64_t>(
      (target.vectorRegisters - 1 - shape.tile.vectors) / shape.tile.vectors, 12);
  shape.cut(target, x.getElementBytes(), op.getWinograd());
  return shape;
}

void ConvShape::cut(const Target &target, int64_t elementBytes, bool winograd) {
  const int64_t width = tile.columns();
  Expr wanted =
      layout::min(layout::ceildiv(panels * width, kMinChannels), kWantedTiles);
  Expr tiles = layout::max(
      layout::ceildiv(panels * width, kMaxChannels),
      layout::min(wanted, layout::ceildiv(kWantedTiles * kMinChannels,
                                          layout::max(windows.pixels(), 1))));
  panelsPerTile = layout::ceildiv(panels, layout::max(tiles, 1));
  columnTiles = layout::ceildiv(panels, panelsPerTile);
  PixelLimits limits;
  if (winograd) {
    // What is read are transformed inputs, and sums of as many points lie beside them.
    limits.elements = target.l2Bytes / elementBytes / 4;
    limits.least = 2 * tile.rows;
  }
  Expr elements = winograd ? inputs * windows.tapCount() : inputs;
  pixels =
      PixelBlocking::of(windows, tile.rows, elements, columnTiles * groups, limits);
  std::optional<int64_t> weights =
      (panelsPerTile * width * windows.tapCount() * inputs).constant();
  keepsWeights = weights && *weights * elementBytes <= target.l1Bytes / 4 * 3;
}

//===----------------------------------------------------------------------===//
// The tile
//===----------------------------------------------------------------------===//

Expr ConvTile::zeroBytes() const {
  if (!needsZeros())
    return 0;
  return layout::ceildiv(shape_.inputs * Expr(elementBytes()), RTORCH_ALIGNMENT) *
         RTORCH_ALIGNMENT;
}

void ConvTile::emitPixels(gemm::Emitter &e, Value tile, Value scratch) {
  Value perGroup = lower(e, shape_.tilesPerGroup());
  bool grouped = !shape_.groups.isConstant(1);
  group_ = grouped ? e.div(tile, perGroup) : e.constant(0);
  Value inGroup = grouped ? e.rem(tile, perGroup) : tile;
  Value rowTiles = e.max(lower(e, shape_.pixels.tiles), e.constant(1));
  Value perTile = lower(e, shape_.panelsPerTile);
  firstPanel_ = e.mul(e.div(inGroup, rowTiles), perTile);
  endPanel_ = e.min(e.add(firstPanel_, perTile), lower(e, shape_.panels));
  zeros_ = scratch;
  if (needsZeros())
    e.loop(lower(e, shape_.inputs),
           [&](Value i) { e.store(e.zero(type_), e.address(type_, zeros_, i)); });
  Value rows = lower(e, shape_.pixels.rows);
  Value first = e.mul(e.rem(inGroup, rowTiles), rows);
  count_ = e.min(rows, e.sub(lower(e, shape_.windows.pixels()), first));
  tables_.emitCoordinates(e, first, count_,
                          e.address(e.b.getI8Type(), scratch, lower(e, zeroBytes())));
  height_ = e.constant(shape_.pixels.lanes());
  if (shape_.pixels.heights.size() > 1) {
    // The least height that needs no more register tiles than the largest.
    Value panels = e.div(e.add(count_, shape_.pixels.lanes() - 1), height_);
    for (int64_t height : llvm::reverse(shape_.pixels.heights))
      height_ =
          e.select(e.less(e.mul(panels, height), count_), height_, e.constant(height));
  }
  pixelPanels_ = e.div(e.add(count_, e.sub(height_, e.constant(1))), height_);
  Value channel = e.mul(e.mul(group_, lower(e, shape_.inputs)),
                        lower(e, shape_.windows.x.getStrides()[1]));
  Value input = e.address(type_, argument(op_.getX()), channel);
  e.loop(pixelPanels_, [&](Value panel) {
    tables_.emitTable(e, panel, e.mul(panel, height_), input, zeros_);
  });
}

//===----------------------------------------------------------------------===//
// What results from the sums
//===----------------------------------------------------------------------===//

void ConvTile::withColumns(gemm::Emitter &e, Value channel,
                           function_ref<void(Value)> body) {
  std::optional<int64_t> outputs = shape_.outputs.constant();
  if (outputs && *outputs % shape_.tile.columns() == 0)
    return body({});
  Value left = e.sub(lower(e, shape_.outputs), channel);
  if (outputs && *outputs < shape_.tile.columns())
    return body(left);
  e.branch(
      e.less(left, e.constant(shape_.tile.columns())), [&] { body(left); },
      [&] { body({}); });
}

void ConvTile::forVectors(gemm::Emitter &e, Value left,
                          function_ref<void(Value, Value)> body) {
  const gemm::RegisterTile &tile = shape_.tile;
  if (!left) {
    for (int64_t v = 0; v < tile.vectors; ++v)
      body(e.constant(v * tile.lanes), {});
    return;
  }
  e.loop(
      e.constant(0), e.min(left, e.constant(tile.columns())), tile.lanes,
      [&](Value column) { body(column, e.laneMask(tile.lanes, e.sub(left, column))); });
}

void ConvTile::bindResult(Evaluator &values, Value sums) {
  values.bind(op_.getResult(), [this, sums](Evaluator &inner, ArrayRef<Index> indices) {
    if (!op_.getBias())
      return sums;
    FormulaBuilder f(inner.emitter().b, inner.emitter().loc);
    return f.add(sums, inner.vectorAt(op_.getBias(), indices[1]));
  });
}

Value ConvTile::reduceWindow(gemm::Emitter &e, const Indices &at, Value mask,
                             function_ref<void(Evaluator &, int64_t)> bind) {
  auto reduction = cast<rt::ReductionOpInterface>(shape_.reduction);
  FormulaBuilder f(e.b, e.loc);
  int64_t pixels = 1;
  for (int64_t size : shape_.poolSizes)
    pixels *= size;
  Value result;
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    Evaluator values(state_, e.b, e.loc, shape_.tile.lanes, mask);
    bind(values, pixel);
    Value x = values.vectorAt(reduction->getOperand(0), inWindow(e, at, pixel));
    if (!result)
      result = reduction.emitInitial(f, x.getType());
    result = reduction.emitCombine(f, result, x);
  }
  return roundTo(f, result, tensorType(reduction->getResult(0)).getElementType());
}

/// The indices into the tensor that is reduced, of element `pixel` of the window that
/// belongs to `at` of the reduced one.
Indices ConvTile::inWindow(gemm::Emitter &e, const Indices &at, int64_t pixel) const {
  SmallVector<int64_t> places(shape_.windows.spatialDims());
  for (int64_t dim = places.size() - 1; dim >= 0; --dim) {
    int64_t size = shape_.poolSizes[dim];
    places[dim] = pixel % size;
    pixel /= size;
  }
  Indices element = at;
  for (int64_t dim : shape_.windowDims)
    element.push_back(Index{e.constant(places[dim])});
  return element;
}

} // namespace rtorch::codegen
