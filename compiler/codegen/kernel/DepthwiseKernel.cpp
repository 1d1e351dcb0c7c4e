// Convolutions that keep channels apart: vectors run over channels, and some pixels
// side by side, a run, sum their taps from one reading of what they see.
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

/// Most pixels of a run, each with one vector of sums.
constexpr int64_t kPixels = 8;

/// Runs whose tables are made together, and those of a grid tile in any case.
constexpr int64_t kRuns = 8, kMinRuns = 6;

/// As many pixels as leave the fewest of the last run unused.
int64_t pixelsOfRun(const Expr &width) {
  int64_t known = width.constant().value_or(kPixels), best = kPixels, least = INT64_MAX;
  for (int64_t pixels = kPixels; pixels >= 1; --pixels)
    if (int64_t covered = (known + pixels - 1) / pixels * pixels; covered < least)
      best = pixels, least = covered;
  return best;
}

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
    joinRuns();
    PixelLimits limits;
    limits.least = kMinRuns;
    runs_ =
        PixelBlocking::of(windows_, kRuns, channels_ * Expr(run_.pixels), 1, limits);
  }

  KernelInfo info() {
    KernelInfo info;
    info.grid = runs_.tiles;
    info.scratchBytes = sumBytes() + zeroBytes() + tables().scratchBytes();
    return info;
  }

  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  /// Makes one window of all those of a run: its taps along the last dim are columns.
  void joinRuns() {
    const int64_t last = windows_.spatialDims() - 1;
    Expr &width = windows_.result.back(), &taps = windows_.taps.back();
    run_ = {pixelsOfRun(width), *taps.constant(), windows_.stride[last],
            windows_.dilation[last]};
    Expr runs = layout::ceildiv(width, run_.pixels);
    windows_.overhangs = runs * Expr(run_.pixels) != width;
    width = runs;
    taps = run_.columns();
    windows_.stride[last] *= run_.pixels;
    windows_.dilation[last] = 1;
  }

  WindowTables tables() { return WindowTables(state_, windows_, runs_, op_); }
  int64_t elementBytes() const { return type_.getIntOrFloatBitWidth() / 8; }
  Expr sumBytes() const { return width_ * run_.pixels * elementBytes(); }
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
  /// One vector of channels (`left` of them; null: all lanes) of run `run` of a panel.
  void emitVector(gemm::Emitter &e, WindowTables &tables, Value panel, Value run,
                  Value channel, Value left);
  void storeRun(gemm::Emitter &e, const Indices &first, Value mask);

  KernelState &state_;
  rt::ConvolutionOp op_;
  Type type_;
  int64_t width_;
  ConvWindows windows_; ///< of runs
  Expr channels_;
  gemm::DepthwiseRun run_;
  PixelBlocking runs_;
  // Of the tile that is emitted:
  Value sums_;
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
  Value rows = lower(e, runs_.rows), first = e.mul(tile, rows);
  Value count = e.min(rows, e.sub(lower(e, windows_.pixels()), first));
  tables.emitCoordinates(e, first, count, at(sumBytes() + zeroBytes()));
  Value height = e.constant(runs_.lanes());
  Value panels = e.div(e.add(count, runs_.lanes() - 1), height);
  Value whole = e.roundDown(channels, width_);
  e.loop(panels, [&](Value panel) {
    Value start = e.mul(panel, height);
    tables.emitTable(e, panel, start, argument(op_.getX()), zeros);
    e.loop(start, e.min(e.add(start, height), count), 1, [&](Value run) {
      e.loop(e.constant(0), whole, width_,
             [&](Value channel) { emitVector(e, tables, panel, run, channel, {}); });
      e.branch(e.less(whole, channels), [&] {
        emitVector(e, tables, panel, run, whole, e.sub(channels, whole));
      });
    });
  });
}

void DepthwiseKernel::emitVector(gemm::Emitter &e, WindowTables &tables, Value panel,
                                 Value run, Value channel, Value left) {
  Value lane = e.sub(run, e.mul(panel, runs_.lanes()));
  Expr rows =
      layout::numel(layout::Dims(windows_.taps.begin(), windows_.taps.end() - 1));
  gemm::DepthwiseOperands operands{
      e.address(e.b.getI64Type(), tables.table(e, panel), lane),
      runs_.lanes(),
      lower(e, rows),
      channel,
      lower(e, channels_),
      argument(op_.getWeight()),
      sums_,
      left};
  gemm::callDepthwiseMicrokernel(e, type_, width_, run_, operands);
  Indices first{Index{tables.coordinate(e, 0, run)}, Index{channel, 1, {}}};
  for (int64_t dim = 1; dim <= windows_.spatialDims(); ++dim)
    first.push_back(Index{tables.coordinate(e, dim, run)});
  storeRun(e, first, left ? e.laneMask(width_, left) : Value());
}

/// Hands the sums of the run at `first` (whose last index counts runs) to what the
/// kernel yields.
void DepthwiseKernel::storeRun(gemm::Emitter &e, const Indices &first, Value mask) {
  auto vector = VectorType::get(width_, type_);
  Value start = e.mul(first.back().base, run_.pixels);
  Value size = lower(e, tensorType(op_.getResult()).getSizes().back());
  Value count = e.constant(run_.pixels);
  if (windows_.overhangs)
    count = e.min(count, e.sub(size, start));
  e.loop(count, [&](Value i) {
    Indices at = first;
    at.back() = Index{e.add(start, i)};
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
  return emitKernelOf<DepthwiseKernel>(builder, kernel, symbol, op, target);
}

} // namespace rtorch::codegen
