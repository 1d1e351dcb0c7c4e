// Convolutions with weights in panels: implicit products [pixels, taps x channels] x
// [taps x channels, output channels], whose left operand is read in place. One grid
// tile, some pixels and panels of one group:
//
//     coordinates of the pixels, tables of the pointers under their windows
//     for each panel of output channels, for each register tile of pixels:
//       microkernel over all taps and channels, epilogue
#include "compiler/codegen/gemm/ConvMicrokernel.h"
#include "compiler/codegen/kernel/ConvWindows.h"
#include "compiler/codegen/kernel/KernelFunction.h"
#include "runtime/format/KernelAbi.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
using rt::TensorType;
namespace {

/// Output channels of a grid tile where the grid shall have more tiles.
constexpr int64_t kMinChannels = 64, kMaxChannels = 512, kWantedTiles = 8;

/// The sizes of a convolution and how they are cut.
struct ConvShape {
  ConvWindows windows;
  gemm::RegisterTile tile;
  Expr groups, inputs, outputs; ///< channels of a group
  Expr panels, panelsPerTile, columnTiles;
  PixelBlocking pixels;
  bool keepsWeights = false; ///< those of a tile stay in the first-level cache

  /// What the kernel reduces the results by, in windows; null if they are stored.
  Operation *reduction = nullptr;
  SmallVector<int64_t> windowDims; ///< the spatial dims of the reduced ones, in order

  Expr tilesPerGroup() const { return pixels.tiles * columnTiles; }

  static ConvShape of(rt::PackedConvolutionOp op, const Target &target);

private:
  void findPool(rt::PackedConvolutionOp op);
};

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
  shape.groups = sizes[0];
  shape.panels = sizes[1];
  shape.inputs = sizes[rank];
  shape.outputs = floordiv(static_cast<int64_t>(op.getChannels()), shape.groups);
  int64_t width = *sizes[rank + 1].constant();
  shape.tile.lanes = std::min(target.lanes(x.getElementBytes()), width);
  shape.tile.vectors = width / shape.tile.lanes;
  shape.tile.rows = std::min<int64_t>(
      (target.vectorRegisters - 1 - shape.tile.vectors) / shape.tile.vectors, 12);
  Expr wanted =
      layout::min(layout::ceildiv(shape.panels * width, kMinChannels), kWantedTiles);
  Expr columnTiles = layout::max(
      layout::ceildiv(shape.panels * width, kMaxChannels),
      layout::min(wanted, layout::ceildiv(kWantedTiles * kMinChannels,
                                          layout::max(shape.windows.pixels(), 1))));
  shape.panelsPerTile = layout::ceildiv(shape.panels, layout::max(columnTiles, 1));
  shape.columnTiles = layout::ceildiv(shape.panels, shape.panelsPerTile);
  shape.pixels = PixelBlocking::of(shape.windows, shape.tile.rows, shape.inputs,
                                   shape.columnTiles * shape.groups);
  std::optional<int64_t> weights =
      (shape.panelsPerTile * width * shape.windows.tapCount() * shape.inputs)
          .constant();
  shape.keepsWeights =
      weights && *weights * x.getElementBytes() <= target.l1Bytes / 4 * 3;
  return shape;
}

class ConvKernel {
public:
  ConvKernel(KernelState &state, rt::PackedConvolutionOp op, const ConvShape &shape)
      : state_(state), op_(op), shape_(shape),
        tables_(state, shape.windows, shape.pixels, op),
        type_(tensorType(op.getResult()).getElementType()) {}

  KernelInfo info() const {
    KernelInfo info;
    info.grid = shape_.tilesPerGroup() * shape_.groups;
    info.scratchBytes = sumBytes() + zeroBytes() + tables_.scratchBytes();
    return info;
  }

  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  int64_t elementBytes() const { return type_.getIntOrFloatBitWidth() / 8; }
  Expr sumBytes() const {
    return shape_.tile.columns() * shape_.pixels.lanes() * elementBytes();
  }
  bool needsZeros() const { return shape_.windows.isPadded(); }
  Expr zeroBytes() const {
    if (!needsZeros())
      return 0;
    return layout::ceildiv(shape_.inputs * Expr(elementBytes()), RTORCH_ALIGNMENT) *
           RTORCH_ALIGNMENT;
  }
  Value lower(gemm::Emitter &e, const Expr &expr) {
    return e.lower(expr, state_.symbols);
  }
  Value argument(Value value) {
    return state_.buffers[cast<BlockArgument>(value).getArgNumber()];
  }
  void emitPixels(gemm::Emitter &e, Value tile, Value scratch);
  void emitRegisterTile(gemm::Emitter &e, Value panel, Value pixelPanel);
  void emitEpilogue(gemm::Emitter &e, Value pixel, Value count, Value channel);
  void storeRows(gemm::Emitter &e, Value pixel, Value count, Value channel, Value left);
  void bindSums(Evaluator &values, Value i, Value j);
  Value reducePixels(gemm::Emitter &e, Value i, Value j, const Indices &at, Value mask);

  KernelState &state_;
  rt::PackedConvolutionOp op_;
  const ConvShape &shape_;
  WindowTables tables_;
  Type type_;
  // Of the tile that is emitted:
  Value group_, count_, height_, pixelPanels_, sums_, zeros_;
};

void ConvKernel::emitTile(OpBuilder &builder, Value tile, Value scratch) {
  gemm::Emitter e(builder, state_.kernel.getLoc());
  Value perGroup = lower(e, shape_.tilesPerGroup());
  bool grouped = !shape_.groups.isConstant(1);
  group_ = grouped ? e.div(tile, perGroup) : e.constant(0);
  Value inGroup = grouped ? e.rem(tile, perGroup) : tile;
  Value rowTiles = e.max(lower(e, shape_.pixels.tiles), e.constant(1));
  emitPixels(e, e.rem(inGroup, rowTiles), scratch);
  Value panels = lower(e, shape_.panels), perTile = lower(e, shape_.panelsPerTile);
  Value first = e.mul(e.div(inGroup, rowTiles), perTile);
  Value last = e.min(e.add(first, perTile), panels);
  auto forPanels = [&](function_ref<void(Value)> body) {
    e.loop(first, last, 1, body);
  };
  auto forPixels = [&](function_ref<void(Value)> body) { e.loop(pixelPanels_, body); };
  // Whatever is larger is walked once: the weights of a tile, unless they stay in the
  // first-level cache, else the pixels.
  if (shape_.keepsWeights)
    forPixels([&](Value pixels) {
      forPanels([&](Value panel) { emitRegisterTile(e, panel, pixels); });
    });
  else
    forPanels([&](Value panel) {
      forPixels([&](Value pixels) { emitRegisterTile(e, panel, pixels); });
    });
}

/// Everything that all panels of output channels share.
void ConvKernel::emitPixels(gemm::Emitter &e, Value tile, Value scratch) {
  auto at = [&](const Expr &bytes) {
    return e.address(e.b.getI8Type(), scratch, lower(e, bytes));
  };
  sums_ = scratch;
  if (needsZeros()) {
    zeros_ = at(sumBytes());
    e.loop(lower(e, shape_.inputs),
           [&](Value i) { e.store(e.zero(type_), e.address(type_, zeros_, i)); });
  }
  Value rows = lower(e, shape_.pixels.rows), first = e.mul(tile, rows);
  count_ = e.min(rows, e.sub(lower(e, shape_.windows.pixels()), first));
  tables_.emitCoordinates(e, first, count_, at(sumBytes() + zeroBytes()));
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

void ConvKernel::emitRegisterTile(gemm::Emitter &e, Value panel, Value pixelPanel) {
  Value taps = lower(e, shape_.windows.tapCount()), inputs = lower(e, shape_.inputs);
  Value index = e.add(e.mul(group_, lower(e, shape_.panels)), panel);
  Value weights = e.mul(e.mul(index, e.mul(taps, inputs)), shape_.tile.columns());
  gemm::ConvTile operands{tables_.table(e, pixelPanel),
                          taps,
                          inputs,
                          lower(e, shape_.windows.x.getStrides()[1]),
                          e.address(type_, argument(op_.getPacked()), weights),
                          sums_};
  gemm::callConvMicrokernel(e, type_, shape_.tile, shape_.pixels.lanes(),
                            shape_.pixels.heights, height_, operands);
  Value pixel = e.mul(pixelPanel, height_);
  emitEpilogue(e, pixel, e.min(height_, e.sub(count_, pixel)),
               e.mul(panel, shape_.tile.columns()));
}

void ConvKernel::emitEpilogue(gemm::Emitter &e, Value pixel, Value count,
                              Value channel) {
  std::optional<int64_t> outputs = shape_.outputs.constant();
  if (outputs && *outputs % shape_.tile.columns() == 0)
    return storeRows(e, pixel, count, channel, {});
  Value left = e.sub(lower(e, shape_.outputs), channel);
  if (outputs && *outputs < shape_.tile.columns())
    return storeRows(e, pixel, count, channel, left);
  e.branch(
      e.less(left, e.constant(shape_.tile.columns())),
      [&] { storeRows(e, pixel, count, channel, left); },
      [&] { storeRows(e, pixel, count, channel, {}); });
}

/// Makes the convolution's results known: those of row `i` of the register tile, from
/// column `j` on.
void ConvKernel::bindSums(Evaluator &values, Value i, Value j) {
  gemm::Emitter &e = values.emitter();
  auto vector = VectorType::get(shape_.tile.lanes, type_);
  Value from = e.add(e.mul(i, shape_.tile.columns()), j);
  Value sums = e.load(vector, e.address(type_, sums_, from), Value());
  values.bind(op_.getResult(), [this, sums](Evaluator &inner, ArrayRef<Index> indices) {
    if (!op_.getBias())
      return sums;
    FormulaBuilder f(inner.emitter().b, inner.emitter().loc);
    return f.add(sums, inner.vectorAt(op_.getBias(), indices[1]));
  });
}

/// The reduction over the pixels of the window that begins at row `i`, at `at` of its
/// result.
Value ConvKernel::reducePixels(gemm::Emitter &e, Value i, Value j, const Indices &at,
                               Value mask) {
  auto reduction = cast<rt::ReductionOpInterface>(shape_.reduction);
  const SmallVector<PooledAxis> &pool = shape_.windows.pool;
  FormulaBuilder f(e.b, e.loc);
  Value result;
  for (int64_t pixel = 0; pixel < shape_.windows.pooledPixels(); ++pixel) {
    SmallVector<int64_t> inWindow(pool.size());
    for (int64_t dim = pool.size() - 1, rest = pixel; dim >= 0; --dim) {
      inWindow[dim] = rest % pool[dim].size;
      rest /= pool[dim].size;
    }
    Indices element = at;
    for (int64_t dim : shape_.windowDims)
      element.push_back(Index{e.constant(inWindow[dim])});
    Evaluator values(state_, e.b, e.loc, shape_.tile.lanes, mask);
    bindSums(values, e.add(i, pixel), j);
    Value x = values.vectorAt(reduction->getOperand(0), element);
    if (!result)
      result = reduction.emitInitial(f, x.getType());
    result = reduction.emitCombine(f, result, x);
  }
  return roundTo(f, result, tensorType(reduction->getResult(0)).getElementType());
}

/// Hands `count` rows of sums to what the kernel yields; `left` channels of each (null:
/// all of the panel).
void ConvKernel::storeRows(gemm::Emitter &e, Value pixel, Value count, Value channel,
                           Value left) {
  const gemm::RegisterTile &tile = shape_.tile;
  Value first = e.add(e.mul(group_, lower(e, shape_.outputs)), channel);
  e.loop(e.constant(0), count, shape_.windows.pooledPixels(), [&](Value i) {
    auto storeVector = [&](Value j, Value mask) {
      Index lanes{e.add(first, j), 1, {}};
      Indices at = tables_.indicesOf(e, e.add(pixel, i), lanes);
      Evaluator values(state_, e.b, e.loc, tile.lanes, mask);
      if (shape_.reduction) {
        Value reduced = reducePixels(e, i, j, at, mask);
        values.bind(shape_.reduction->getResult(0),
                    [reduced](Evaluator &, ArrayRef<Index>) { return reduced; });
      } else {
        bindSums(values, i, j);
      }
      values.storeResults(at);
    };
    if (!left) {
      for (int64_t v = 0; v < tile.vectors; ++v)
        storeVector(e.constant(v * tile.lanes), {});
      return;
    }
    e.loop(e.constant(0), e.min(left, e.constant(tile.columns())), tile.lanes,
           [&](Value j) { storeVector(j, e.laneMask(tile.lanes, e.sub(left, j))); });
  });
}

} // namespace

KernelInfo emitConvKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                          const Target &target) {
  auto op = *kernel.getBlock().getOps<rt::PackedConvolutionOp>().begin();
  ConvShape shape = ConvShape::of(op, target);
  KernelState state;
  state.kernel = kernel;
  ConvKernel conv(state, op, shape);
  emitKernelFunction(builder, symbol, state,
                     [&](OpBuilder &b, Value tile, Value scratch) {
                       conv.emitTile(b, tile, scratch);
                     });
  KernelInfo info = conv.info();
  info.sites = std::move(state.sites);
  return info;
}

} // namespace rtorch::codegen
