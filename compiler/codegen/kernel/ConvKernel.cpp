// Convolutions with weights in panels: implicit products [pixels, taps x channels] x
// [taps x channels, output channels], whose left operand is read in place. One grid
// tile, some pixels and panels of one group:
//
//     coordinates of the pixels, tables of the pointers under their windows
//     for each panel of output channels, for each register tile of pixels:
//       microkernel over all taps and channels, epilogue
#include "compiler/codegen/gemm/ConvMicrokernel.h"
#include "compiler/codegen/kernel/ConvTile.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
namespace {

class ConvKernel : ConvTile {
public:
  using ConvTile::ConvTile;

  KernelInfo info() const {
    KernelInfo info;
    info.grid = shape_.gridTiles();
    info.scratchBytes = sumBytes() + pixelBytes();
    return info;
  }

  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  Expr sumBytes() const {
    return shape_.tile.columns() * shape_.pixels.lanes() * elementBytes();
  }
  void emitRegisterTile(gemm::Emitter &e, Value panel, Value pixelPanel);
  void storeRows(gemm::Emitter &e, Value pixel, Value count, Value channel, Value left);
  void bindSums(Evaluator &values, Value i, Value j);
  Value reducePixels(gemm::Emitter &e, Value i, Value j, const Indices &at, Value mask);

  Value sums_;
};

void ConvKernel::emitTile(OpBuilder &builder, Value tile, Value scratch) {
  gemm::Emitter e(builder, state_.kernel.getLoc());
  sums_ = scratch;
  emitPixels(e, tile, e.address(e.b.getI8Type(), scratch, lower(e, sumBytes())));
  auto forPanels = [&](function_ref<void(Value)> body) {
    e.loop(firstPanel_, endPanel_, 1, body);
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

void ConvKernel::emitRegisterTile(gemm::Emitter &e, Value panel, Value pixelPanel) {
  Value taps = lower(e, shape_.windows.tapCount()), inputs = lower(e, shape_.inputs);
  Value index = e.add(e.mul(group_, lower(e, shape_.panels)), panel);
  Value weights = e.mul(e.mul(index, e.mul(taps, inputs)), shape_.tile.columns());
  gemm::ConvOperands operands{tables_.table(e, pixelPanel),
                              taps,
                              inputs,
                              lower(e, shape_.windows.x.getStrides()[1]),
                              e.address(type_, argument(op_.getPacked()), weights),
                              sums_};
  gemm::callConvMicrokernel(e, type_, shape_.tile, shape_.pixels.lanes(),
                            shape_.pixels.heights, height_, operands);
  Value pixel = e.mul(pixelPanel, height_);
  Value channel = e.mul(panel, shape_.tile.columns());
  withColumns(e, channel, [&](Value left) {
    storeRows(e, pixel, e.min(height_, e.sub(count_, pixel)), channel, left);
  });
}

/// Makes the convolution's results known: those of row `i` of the register tile, from
/// column `j` on.
void ConvKernel::bindSums(Evaluator &values, Value i, Value j) {
  gemm::Emitter &e = values.emitter();
  auto vector = VectorType::get(shape_.tile.lanes, type_);
  Value from = e.add(e.mul(i, shape_.tile.columns()), j);
  bindResult(values, e.load(vector, e.address(type_, sums_, from), Value()));
}

/// The reduction over the pixels of the window that begins at row `i`, at `at` of its
/// result.
Value ConvKernel::reducePixels(gemm::Emitter &e, Value i, Value j, const Indices &at,
                               Value mask) {
  return reduceWindow(e, at, mask, [&](Evaluator &values, int64_t pixel) {
    bindSums(values, e.add(i, pixel), j);
  });
}

/// Hands `count` rows of sums to what the kernel yields; `left` channels of each (null:
/// all of the panel).
void ConvKernel::storeRows(gemm::Emitter &e, Value pixel, Value count, Value channel,
                           Value left) {
  Value first = e.add(e.mul(group_, lower(e, shape_.outputs)), channel);
  e.loop(e.constant(0), count, shape_.windows.pooledPixels(), [&](Value i) {
    forVectors(e, left, [&](Value j, Value mask) {
      Index lanes{e.add(first, j), 1, {}};
      Indices at = tables_.indicesOf(e, e.add(pixel, i), lanes);
      Evaluator values(state_, e.b, e.loc, shape_.tile.lanes, mask);
      if (shape_.reduction) {
        Value reduced = reducePixels(e, i, j, at, mask);
        values.bind(shape_.reduction->getResult(0),
                    [reduced](Evaluator &, ArrayRef<Index>) { return reduced; });
      } else {
        bindSums(values, i, j);
      }
      values.storeResults(at);
    });
  });
}

} // namespace

KernelInfo emitConvKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                          const Target &target) {
  auto op = *kernel.getBlock().getOps<rt::PackedConvolutionOp>().begin();
  return emitKernelOf<ConvKernel>(builder, kernel, symbol, op,
                                  ConvShape::of(op, target));
}

} // namespace rtorch::codegen
