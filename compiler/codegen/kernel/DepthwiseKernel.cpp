// Convolutions that keep channels apart: vectors run over channels, each pixel of a
// register tile sums its taps.
#include "compiler/codegen/gemm/ConvMicrokernel.h"
#include "compiler/codegen/kernel/ConvWindows.h"
#include "compiler/codegen/kernel/KernelFunction.h"
#include "runtime/format/KernelAbi.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
namespace {

/// Pixels of a register tile, each with one vector of sums.
constexpr int64_t kPixels = 8;

class DepthwiseKernel {
public:
  DepthwiseKernel(KernelState &state, rt::ConvolutionOp op, const Target &target)
      : state_(state), op_(op), type_(tensorType(op.getResult()).getElementType()),
        width_(target.lanes(type_.getIntOrFloatBitWidth() / 8)),
        windows_{tensorType(op.getX()),
                 tensorType(op.getResult()).getSizes(),
                 {},
                 SmallVector<int64_t>(op.getStride()),
                 SmallVector<int64_t>(op.getPadding()),
                 SmallVector<int64_t>(op.getDilation())},
        channels_(windows_.result[1]) {
    layout::Dims weight = tensorType(op.getWeight()).getSizes();
    windows_.taps.assign(weight.begin() + 2, weight.end());
    pixels_ = PixelBlocking::of(windows_, kPixels, channels_, 1);
  }

  KernelInfo info() {
    KernelInfo info;
    info.grid = pixels_.tiles;
    info.scratchBytes = sumBytes() + zeroBytes() + tables().scratchBytes();
    return info;
  }

  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  WindowTables tables() { return WindowTables(state_, windows_, pixels_, op_); }
  int64_t elementBytes() const { return type_.getIntOrFloatBitWidth() / 8; }
  Expr sumBytes() const { return width_ * pixels_.lanes() * elementBytes(); }
  Expr zeroBytes() const {
    if (!windows_.isPadded())
      return 0;
    return layout::ceildiv(channels_ * Expr(elementBytes()), RTORCH_ALIGNMENT) *
           RTORCH_ALIGNMENT;
  }
  Value lower(gemm::Emitter &e, const Expr &expr) {
    return e.lower(expr, state_.symbols);
  }
  Value argument(Value value) {
    return state_.buffers[cast<BlockArgument>(value).getArgNumber()];
  }
  /// One vector of channels (`left` of them; null: all lanes) of one register tile.
  void emitVector(gemm::Emitter &e, WindowTables &tables, Value panel, Value channel,
                  Value left);

  KernelState &state_;
  rt::ConvolutionOp op_;
  Type type_;
  int64_t width_;
  ConvWindows windows_;
  Expr channels_;
  PixelBlocking pixels_;
  // Of the tile that is emitted:
  Value count_, sums_;
};

void DepthwiseKernel::emitTile(OpBuilder &builder, Value tile, Value scratch) {
  gemm::Emitter e(builder, state_.kernel.getLoc());
  WindowTables tables = this->tables();
  auto at = [&](const Expr &bytes) {
    return e.address(e.b.getI8Type(), scratch, lower(e, bytes));
  };
  sums_ = scratch;
  Value zeros, channels = lower(e, channels_);
  if (windows_.isPadded()) {
    zeros = at(sumBytes());
    e.loop(channels,
           [&](Value i) { e.store(e.zero(type_), e.address(type_, zeros, i)); });
  }
  Value rows = lower(e, pixels_.rows), first = e.mul(tile, rows);
  count_ = e.min(rows, e.sub(lower(e, windows_.pixels()), first));
  tables.emitCoordinates(e, first, count_, at(sumBytes() + zeroBytes()));
  Value height = e.constant(pixels_.lanes());
  Value panels = e.div(e.add(count_, pixels_.lanes() - 1), height);
  Value whole = e.roundDown(channels, width_);
  e.loop(panels, [&](Value panel) {
    tables.emitTable(e, panel, e.mul(panel, height), argument(op_.getX()), zeros);
    e.loop(e.constant(0), whole, width_,
           [&](Value channel) { emitVector(e, tables, panel, channel, {}); });
    e.branch(e.less(whole, channels),
             [&] { emitVector(e, tables, panel, whole, e.sub(channels, whole)); });
  });
}

void DepthwiseKernel::emitVector(gemm::Emitter &e, WindowTables &tables, Value panel,
                                 Value channel, Value left) {
  gemm::DepthwiseTile operands{tables.table(e, panel),
                               lower(e, windows_.tapCount()),
                               channel,
                               lower(e, channels_),
                               argument(op_.getWeight()),
                               sums_,
                               left};
  gemm::callDepthwiseMicrokernel(e, type_, width_, pixels_.lanes(), operands);
  auto vector = VectorType::get(width_, type_);
  Value mask = left ? e.laneMask(width_, left) : Value();
  Value pixel = e.mul(panel, pixels_.lanes());
  Value count = e.min(e.constant(pixels_.lanes()), e.sub(count_, pixel));
  e.loop(count, [&](Value i) {
    Indices at = tables.indicesOf(e, e.add(pixel, i), Index{channel, 1, {}});
    Value sums = e.load(vector, e.address(type_, sums_, e.mul(i, width_)), Value());
    Evaluator values(state_, e.b, e.loc, width_, mask);
    values.bind(op_.getResult(), [&](Evaluator &inner, ArrayRef<Index> indices) {
      if (!op_.getBias())
        return sums;
      FormulaBuilder f(inner.emitter().b, inner.emitter().loc);
      return f.add(sums, inner.vectorAt(op_.getBias(), indices[1]));
    });
    values.storeResults(at);
  });
}

} // namespace

KernelInfo emitDepthwiseKernel(OpBuilder &builder, rt::KernelOp kernel,
                               StringRef symbol, const Target &target) {
  auto op = *kernel.getBlock().getOps<rt::ConvolutionOp>().begin();
  KernelState state;
  state.kernel = kernel;
  DepthwiseKernel depthwise(state, op, target);
  emitKernelFunction(builder, symbol, state,
                     [&](OpBuilder &b, Value tile, Value scratch) {
                       depthwise.emitTile(b, tile, scratch);
                     });
  KernelInfo info = depthwise.info();
  info.sites = std::move(state.sites);
  return info;
}

} // namespace rtorch::codegen
