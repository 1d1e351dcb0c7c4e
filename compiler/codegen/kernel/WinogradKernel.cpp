// Convolutions of 3 x 3 windows by minimal filtering, F(2 x 2, 3 x 3): two by two
// pixels of the result from 16 products instead of 36 (A. Lavin and S. Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2016). Of each window d of 4 x 4
// inputs and each 3 x 3 filter g, per channel,
//
//     Y = A' [ (G g G') * (B' d B) ] A       (* by element, ' transposes)
//
// G g G' is what the packed weight holds. The sum over channels is taken at each of the
// 16 points before A is applied, as a product [windows, channels] x [channels,
// outputs]. One grid tile:
//
//     B' d B of its windows, for all channels
//     for each panel of output channels:
//       for each point, for each register tile of windows: microkernel over channels
//       for each window: A, epilogue for its four pixels
#include "compiler/codegen/gemm/ConvMicrokernel.h"
#include "compiler/codegen/kernel/ConvTile.h"
#include "runtime/format/KernelAbi.h"

#include <array>

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::FormulaBuilder;
using rtorch::rt::tensorType;

namespace rtorch::codegen {
namespace {

constexpr int64_t kSide = 4, kPoints = kSide * kSide, kResults = 2;

using Column = std::array<Value, kSide>;

/// B' x.
Column transformInputs(FormulaBuilder &f, const Column &x) {
  return {f.sub(x[0], x[2]), f.add(x[1], x[2]), f.sub(x[2], x[1]), f.sub(x[1], x[3])};
}

/// A' x.
std::array<Value, kResults> transformSums(FormulaBuilder &f, const Column &x) {
  return {f.add(f.add(x[0], x[1]), x[2]), f.sub(f.sub(x[1], x[2]), x[3])};
}

class WinogradKernel : ConvTile {
public:
  using ConvTile::ConvTile;

  KernelInfo info() const {
    KernelInfo info;
    info.grid = shape_.gridTiles();
    info.scratchBytes = inputBytes() + sumBytes() + pointerBytes() + pixelBytes();
    return info;
  }

  void emitTile(OpBuilder &builder, Value tile, Value scratch);

private:
  // Points lie so far apart, in elements. The lines between keep them in sets of their
  // own of the first-level cache.
  Expr inputsOfRow() const {
    return layout::ceildiv(shape_.inputs, shape_.tile.lanes) * Expr(shape_.tile.lanes);
  }
  int64_t lineElements() const { return RTORCH_ALIGNMENT / elementBytes(); }
  Expr inputsOfPoint() const { return wholeLines(rows() * inputsOfRow()); }
  Expr sumsOfPoint() const { return wholeLines(rows() * shape_.tile.columns()); }
  Expr wholeLines(const Expr &elements) const {
    return (layout::ceildiv(elements, lineElements()) + Expr(1)) * Expr(lineElements());
  }
  Expr rows() const { return shape_.pixels.capacity(); }
  Expr inputBytes() const { return inputsOfPoint() * Expr(kPoints * elementBytes()); }
  Expr sumBytes() const { return sumsOfPoint() * Expr(kPoints * elementBytes()); }
  Expr pointerBytes() const {
    return layout::ceildiv(rows() * Expr(kPoints * 8), RTORCH_ALIGNMENT) *
           RTORCH_ALIGNMENT;
  }

  void emitInputs(gemm::Emitter &e);
  void emitWindow(gemm::Emitter &e, Value row, Value table);
  void emitWindowVector(gemm::Emitter &e, ArrayRef<Value> pointers, Value to,
                        Value channel, Value mask);
  void emitPointers(gemm::Emitter &e);
  void emitProducts(gemm::Emitter &e, Value panel);
  void emitResults(gemm::Emitter &e, Value row, Value first, Value left);
  SmallVector<Value> resultVectors(gemm::Emitter &e, Value row, Value column);
  void storeReduced(gemm::Emitter &e, ArrayRef<Value> results, Value row, Index lanes,
                    Value mask);
  void storePixels(gemm::Emitter &e, ArrayRef<Value> results, Value row, Index lanes,
                   Value mask);
  /// Emits `body`, for an `index` inside of the result's dim `dim` alone.
  void ifInside(gemm::Emitter &e, Value index, int64_t dim, function_ref<void()> body);

  Value pointerAt(gemm::Emitter &e, Value point, Value row) {
    return e.address(pointers_.getType(), pointers_,
                     e.add(e.mul(point, lower(e, rows())), row));
  }

  Value inputs_, sums_, pointers_;
};

void WinogradKernel::emitTile(OpBuilder &builder, Value tile, Value scratch) {
  gemm::Emitter e(builder, state_.kernel.getLoc());
  auto at = [&](const Expr &bytes) {
    return e.address(e.b.getI8Type(), scratch, lower(e, bytes));
  };
  inputs_ = scratch;
  sums_ = at(inputBytes());
  pointers_ = at(inputBytes() + sumBytes());
  emitPixels(e, tile, at(inputBytes() + sumBytes() + pointerBytes()));
  emitInputs(e);
  emitPointers(e);
  e.loop(firstPanel_, endPanel_, 1, [&](Value panel) {
    emitProducts(e, panel);
    Value channel = e.mul(panel, shape_.tile.columns());
    Value first = e.add(e.mul(group_, lower(e, shape_.outputs)), channel);
    withColumns(e, channel, [&](Value left) {
      e.loop(count_, [&](Value row) { emitResults(e, row, first, left); });
    });
  });
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

void WinogradKernel::emitInputs(gemm::Emitter &e) {
  e.loop(pixelPanels_, [&](Value panel) {
    Value table = tables_.table(e, panel);
    Value first = e.mul(panel, height_);
    e.loop(e.min(height_, e.sub(count_, first)), [&](Value i) {
      emitWindow(e, e.add(first, i), e.address(pointers_.getType(), table, i));
    });
  });
}

/// One window, whose pointers are `table`, one of each tap.
void WinogradKernel::emitWindow(gemm::Emitter &e, Value row, Value table) {
  Type pointer = pointers_.getType();
  SmallVector<Value> pointers;
  for (int64_t tap = 0; tap < kPoints; ++tap)
    pointers.push_back(
        e.load(pointer, e.address(pointer, table, tap * shape_.pixels.lanes())));
  Value to = e.address(type_, inputs_, e.mul(row, lower(e, inputsOfRow())));
  const int64_t lanes = shape_.tile.lanes;
  Value channels = lower(e, shape_.inputs), whole = e.roundDown(channels, lanes);
  e.loop(e.constant(0), whole, lanes,
         [&](Value channel) { emitWindowVector(e, pointers, to, channel, {}); });
  if (gemm::constantOf(whole) && gemm::constantOf(whole) == gemm::constantOf(channels))
    return;
  e.branch(e.less(whole, channels), [&] {
    emitWindowVector(e, pointers, to, whole, e.laneMask(lanes, e.sub(channels, whole)));
  });
}

/// B' d B of one vector of channels. Lanes behind the last one become 0.
void WinogradKernel::emitWindowVector(gemm::Emitter &e, ArrayRef<Value> pointers,
                                      Value to, Value channel, Value mask) {
  FormulaBuilder f(e.b, e.loc);
  auto vector = VectorType::get(shape_.tile.lanes, type_);
  std::array<Column, kSide> half; // [column][row] of B' d
  for (int64_t column = 0; column < kSide; ++column) {
    Column d;
    for (int64_t row = 0; row < kSide; ++row)
      d[row] = e.load(vector, e.address(type_, pointers[row * kSide + column], channel),
                      mask);
    half[column] = transformInputs(f, d);
  }
  for (int64_t row = 0; row < kSide; ++row) {
    Column points =
        transformInputs(f, {half[0][row], half[1][row], half[2][row], half[3][row]});
    for (int64_t column = 0; column < kSide; ++column) {
      Value point = lower(e, inputsOfPoint() * Expr(row * kSide + column));
      e.store(points[column], e.address(type_, to, e.add(point, channel)), Value());
    }
  }
}

/// Where the microkernels read: rows of transformed inputs, and behind the last one,
/// because register tiles are whole, the last one.
void WinogradKernel::emitPointers(gemm::Emitter &e) {
  Value rows = e.mul(pixelPanels_, height_), last = e.sub(count_, e.constant(1));
  Value inRow = lower(e, inputsOfRow()), inPoint = lower(e, inputsOfPoint());
  e.loop(e.constant(kPoints), [&](Value point) {
    Value start = e.address(type_, inputs_, e.mul(point, inPoint));
    e.loop(rows, [&](Value row) {
      e.store(e.address(type_, start, e.mul(e.min(row, last), inRow)),
              pointerAt(e, point, row));
    });
  });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void WinogradKernel::emitProducts(gemm::Emitter &e, Value panel) {
  const int64_t columns = shape_.tile.columns();
  Value channels = lower(e, shape_.inputs);
  Value index = e.add(e.mul(group_, lower(e, shape_.panels)), panel);
  Value ofPoint = e.mul(channels, columns);
  e.loop(e.constant(kPoints), [&](Value point) {
    Value weights = e.mul(e.add(e.mul(index, kPoints), point), ofPoint);
    Value sums = e.mul(point, lower(e, sumsOfPoint()));
    e.loop(pixelPanels_, [&](Value pixels) {
      Value row = e.mul(pixels, height_);
      gemm::ConvOperands operands{
          pointerAt(e, point, row),
          e.constant(1),
          channels,
          e.constant(1),
          e.address(type_, argument(op_.getPacked()), weights),
          e.address(type_, sums_, e.add(sums, e.mul(row, columns)))};
      gemm::callConvMicrokernel(e, type_, shape_.tile, shape_.pixels.lanes(),
                                shape_.pixels.heights, height_, operands);
    });
  });
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

/// A' M A of one vector of output channels: the pixels of the window, row by row.
SmallVector<Value> WinogradKernel::resultVectors(gemm::Emitter &e, Value row,
                                                 Value column) {
  FormulaBuilder f(e.b, e.loc);
  auto vector = VectorType::get(shape_.tile.lanes, type_);
  Value start =
      e.address(type_, sums_, e.add(e.mul(row, shape_.tile.columns()), column));
  std::array<std::array<Value, kResults>, kSide> half; // [column][row] of A' M
  for (int64_t j = 0; j < kSide; ++j) {
    Column sums;
    for (int64_t i = 0; i < kSide; ++i) {
      Value point = lower(e, sumsOfPoint() * Expr(i * kSide + j));
      sums[i] = e.load(vector, e.address(type_, start, point), Value());
    }
    half[j] = transformSums(f, sums);
  }
  SmallVector<Value> results;
  for (int64_t i = 0; i < kResults; ++i)
    llvm::append_range(
        results, transformSums(f, {half[0][i], half[1][i], half[2][i], half[3][i]}));
  return results;
}

void WinogradKernel::emitResults(gemm::Emitter &e, Value row, Value first, Value left) {
  forVectors(e, left, [&](Value column, Value mask) {
    SmallVector<Value> results = resultVectors(e, row, column);
    Index lanes{e.add(first, column), 1, {}};
    if (shape_.reduction)
      storeReduced(e, results, row, lanes, mask);
    else
      storePixels(e, results, row, lanes, mask);
  });
}

void WinogradKernel::storeReduced(gemm::Emitter &e, ArrayRef<Value> results, Value row,
                                  Index lanes, Value mask) {
  Indices at = tables_.indicesOf(e, row, lanes);
  Value reduced = reduceWindow(e, at, mask, [&](Evaluator &values, int64_t pixel) {
    bindResult(values, results[pixel]);
  });
  Evaluator values(state_, e.b, e.loc, shape_.tile.lanes, mask);
  values.bind(shape_.reduction->getResult(0),
              [reduced](Evaluator &, ArrayRef<Index>) { return reduced; });
  values.storeResults(at);
}

void WinogradKernel::ifInside(gemm::Emitter &e, Value index, int64_t dim,
                              function_ref<void()> body) {
  if (!shape_.windows.overhangs)
    return body();
  Expr size = tensorType(op_.getResult()).getSize(dim);
  e.branch(e.less(index, lower(e, size)), body);
}

void WinogradKernel::storePixels(gemm::Emitter &e, ArrayRef<Value> results, Value row,
                                 Index lanes, Value mask) {
  Value batch = tables_.coordinate(e, 0, row);
  Value top = e.mul(tables_.coordinate(e, 1, row), kResults);
  Value left = e.mul(tables_.coordinate(e, 2, row), kResults);
  auto store = [&](Value result, Value y, Value x) {
    Evaluator values(state_, e.b, e.loc, shape_.tile.lanes, mask);
    bindResult(values, result);
    values.storeResults({Index{batch}, lanes, Index{y}, Index{x}});
  };
  for (int64_t i = 0; i < kResults; ++i) {
    Value y = e.add(top, i);
    ifInside(e, y, 2, [&] {
      for (int64_t j = 0; j < kResults; ++j) {
        Value x = e.add(left, j);
        ifInside(e, x, 3, [&] { store(results[i * kResults + j], y, x); });
      }
    });
  }
}

} // namespace

KernelInfo emitWinogradKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                              const Target &target) {
  auto op = *kernel.getBlock().getOps<rt::PackedConvolutionOp>().begin();
  return emitKernelOf<WinogradKernel>(builder, kernel, symbol, op,
                                      ConvShape::of(op, target));
}

} // namespace rtorch::codegen
