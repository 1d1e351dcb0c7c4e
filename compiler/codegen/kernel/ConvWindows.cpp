#include "compiler/codegen/kernel/ConvWindows.h"

#include "runtime/format/KernelAbi.h"

#include <algorithm>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;

namespace rtorch::codegen {
using rt::TensorType;

Dims ConvWindows::pixelDims() const {
  Dims dims = pool.empty() ? result : pooled;
  dims.erase(dims.begin() + 1);
  for (const PooledAxis &axis : pool)
    dims.push_back(axis.size);
  return dims;
}

int64_t ConvWindows::pooledPixels() const {
  int64_t count = 1;
  for (const PooledAxis &axis : pool)
    count *= axis.size;
  return count;
}

bool ConvWindows::isPadded() const {
  return overhangs || llvm::any_of(padding, [](int64_t count) { return count > 0; });
}

//===----------------------------------------------------------------------===//
// The cut
//===----------------------------------------------------------------------===//

/// Pointers that the tables of a tile may hold, and pixels.
constexpr int64_t kTilePointers = 8 << 10, kMaxPixels = 512, kWantedTiles = 8;

/// Grids of few tiles have a multiple of this many, so that equal threads get equal
/// shares.
constexpr int64_t kEvenTiles = 4;

PixelBlocking PixelBlocking::of(const ConvWindows &windows, int64_t maxHeight,
                                const Expr &channelElements, const Expr &otherTiles,
                                const PixelLimits &limits) {
  Expr pixels = windows.pixels();
  int64_t pointers = kTilePointers / windows.tapCount().constant().value_or(9);
  int64_t elements =
      limits.elements /
      std::max<int64_t>(channelElements.constant().value_or(limits.elements / 256), 1);
  int64_t most = std::clamp(std::min(pointers, elements), limits.least, kMaxPixels);
  Expr wanted = layout::ceildiv(kWantedTiles, layout::max(otherTiles, 1));
  Expr full = layout::ceildiv(pixels, most),
       least = layout::ceildiv(pixels, limits.least);
  Expr tiles = layout::max(full, layout::min(least, wanted));
  Expr even = layout::ceildiv(tiles, kEvenTiles) * Expr(kEvenTiles);
  tiles = layout::max(layout::max(tiles, layout::min(even, least)), 1);
  PixelBlocking blocking;
  // What is reduced together stays in one register tile.
  const int64_t together = windows.pooledPixels();
  auto whole = [&](int64_t height) {
    return std::max<int64_t>(height / together, 1) * together;
  };
  blocking.rows = layout::max(layout::ceildiv(pixels, tiles), 1);
  blocking.rows = layout::ceildiv(blocking.rows, together) * together;
  maxHeight = whole(maxHeight);
  std::optional<int64_t> rows = blocking.rows.constant();
  if (!rows) {
    for (int64_t parts : {3, 2, 1})
      if (int64_t height = whole(maxHeight / parts);
          blocking.heights.empty() || height > blocking.heights.back())
        blocking.heights.push_back(height);
  } else {
    // Register tiles of equal height, and grid tiles of whole ones.
    int64_t panels = (*rows + maxHeight - 1) / maxHeight;
    int64_t height = whole((*rows + panels - 1) / panels + together - 1);
    blocking.heights = {height};
    blocking.rows = std::min(height * panels, std::max<int64_t>(*pixels.constant(), 1));
  }
  blocking.tiles = layout::ceildiv(pixels, blocking.rows);
  return blocking;
}

//===----------------------------------------------------------------------===//
// Coordinates
//===----------------------------------------------------------------------===//

/// Whether the pixels of a tensor like the result follow each other at one distance, or
/// are all the same element.
static bool hasFlatPixels(TensorType type, const Dims &result) {
  if (type.getRank() == 0)
    return true;
  Dims sizes = type.getSizes(), strides = type.getStrides();
  if (sizes.size() != result.size() ||
      (!sizes[1].isConstant(1) && sizes[1] != result[1]))
    return false;
  sizes.erase(sizes.begin() + 1), strides.erase(strides.begin() + 1);
  if (llvm::all_of(sizes, [](const Expr &size) { return size.isConstant(1); }))
    return true;
  for (size_t dim = 0; dim + 1 < sizes.size(); ++dim)
    if (strides[dim] != strides[dim + 1] * sizes[dim + 1])
      return false;
  Dims pixels = result;
  pixels.erase(pixels.begin() + 1);
  return sizes == pixels;
}

static bool isFlat(rt::KernelOp kernel, Operation *convolution, const Dims &result) {
  for (BlockArgument argument : kernel.getBlock().getArguments()) {
    bool elsewhere = llvm::any_of(argument.getUsers(),
                                  [&](Operation *user) { return user != convolution; });
    if (elsewhere && !hasFlatPixels(rt::tensorType(argument), result))
      return false;
  }
  return llvm::all_of(kernel.getBlock(), [&](Operation &op) {
    if (&op == convolution || isa<rt::YieldOp, rt::FullOp>(op))
      return llvm::all_of(op.getOperands(), [&](Value value) {
        return &op == convolution || hasFlatPixels(rt::tensorType(value), result);
      });
    return isa<rt::PointwiseOpInterface, rt::CloneOp>(op);
  });
}

WindowTables::WindowTables(KernelState &state, const ConvWindows &windows,
                           const PixelBlocking &blocking, Operation *convolution)
    : state_(state), windows_(windows), blocking_(blocking),
      flat_(isFlat(state.kernel, convolution, windows.result)) {}

static Expr wholeLines(const Expr &bytes) {
  return layout::ceildiv(bytes, RTORCH_ALIGNMENT) * RTORCH_ALIGNMENT;
}

Expr WindowTables::coordinateBytes() const {
  return wholeLines(blocking_.capacity() * Expr(8 * (windows_.spatialDims() + 1)));
}

Expr WindowTables::scratchBytes() const {
  return coordinateBytes() + wholeLines(blocking_.panels() * windows_.tapCount() *
                                        Expr(8 * blocking_.lanes()));
}

Value WindowTables::coordinateAddress(gemm::Emitter &e, size_t dim, Value pixel) {
  Value start = lower(e, blocking_.capacity() * Expr(static_cast<int64_t>(dim)));
  return e.address(e.b.getI64Type(), coordinates_, e.add(start, pixel));
}

void WindowTables::emitCoordinates(gemm::Emitter &e, Value first, Value count,
                                   Value scratch) {
  first_ = first;
  coordinates_ = scratch;
  tables_ = e.address(e.b.getI8Type(), scratch, lower(e, coordinateBytes()));
  Dims dims = windows_.pixelDims();
  SmallVector<Value> sizes, initial(dims.size());
  for (const Expr &size : dims)
    sizes.push_back(lower(e, size));
  Value linear = first;
  for (size_t i = dims.size(); i-- > 0;) {
    initial[i] = i ? e.rem(linear, sizes[i]) : linear;
    if (i)
      linear = e.div(linear, sizes[i]);
  }
  const size_t stored = windows_.spatialDims() + 1;
  auto store = [&](ValueRange values, Value pixel) {
    for (size_t dim = 0; dim < stored; ++dim) {
      Value value = values[dim];
      if (dim && values.size() > stored) {
        const PooledAxis &axis = windows_.pool[dim - 1];
        value = e.add(e.mul(value, axis.step),
                      e.mul(values[stored + dim - 1], axis.dilation));
      }
      e.store(value, coordinateAddress(e, dim, pixel));
    }
  };
  e.loop(e.constant(0), count, 1, initial, [&](Value pixel, ValueRange current) {
    store(current, pixel);
    SmallVector<Value> next(current);
    Value step = e.constant(1);
    for (size_t i = dims.size(); i-- > 0;) {
      Value moved = e.add(current[i], step);
      if (i == 0) {
        next[i] = moved;
        break;
      }
      Value wraps = e.equal(moved, sizes[i]);
      next[i] = e.select(wraps, e.constant(0), moved);
      step = e.select(wraps, e.constant(1), e.constant(0));
    }
    return next;
  });
  // Register tiles are whole: what is behind the last pixel is the last pixel.
  Value last = e.sub(count, e.constant(1));
  SmallVector<Value> lastValues;
  for (size_t dim = 0; dim < stored; ++dim)
    lastValues.push_back(e.load(e.b.getI64Type(), coordinateAddress(e, dim, last)));
  e.loop(count, e.add(count, 2 * blocking_.lanes()), 1,
         [&](Value pixel) { store(lastValues, pixel); });
}

/// The dim along which flat pixels are counted: the last that has more than one,
/// because an operand of size 1 is read at 0 there.
static int64_t flatDim(Dims pixels) {
  pixels.erase(pixels.begin() + 1); // the channel
  for (size_t dim = pixels.size(); dim-- > 0;)
    if (!pixels[dim].isConstant(1))
      return dim;
  return 0;
}

Indices WindowTables::indicesOf(gemm::Emitter &e, Value pixel, Index channel) {
  Indices indices;
  const int64_t counted = flatDim(windows_.result);
  for (int64_t dim = 0; dim <= windows_.spatialDims(); ++dim) {
    if (!flat_) {
      Value at = coordinate(e, dim, pixel);
      if (dim && !windows_.pool.empty())
        at = e.div(at, e.constant(windows_.pool[dim - 1].step));
      indices.push_back(Index{at});
    } else {
      indices.push_back(Index{dim == counted ? e.add(first_, pixel) : e.constant(0)});
    }
  }
  indices.insert(indices.begin() + 1, channel);
  return indices;
}

//===----------------------------------------------------------------------===//
// Pointers
//===----------------------------------------------------------------------===//

Value WindowTables::table(gemm::Emitter &e, Value panel) {
  Value size = lower(e, windows_.tapCount() * Expr(blocking_.lanes()));
  return e.address(e.b.getI64Type(), tables_, e.mul(panel, size));
}

namespace {

/// Vectors of i64, one lane a pixel.
struct PointerBuilder {
  gemm::Emitter &e;
  int64_t lanes;

  Value splat(Value scalar) { return e.broadcast(lanes, scalar); }
  Value scaled(Value vector, Value factor) { return e.mul(vector, splat(factor)); }
  Value address(Value pointer) {
    return LLVM::PtrToIntOp::create(e.b, e.loc, e.b.getI64Type(), pointer);
  }
  /// Lanes in [0, size).
  Value inside(Value index, Value size) {
    return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ult, index,
                                 splat(size));
  }
};

} // namespace

void WindowTables::emitTable(gemm::Emitter &e, Value panel, Value pixel, Value input,
                             Value zeros) {
  const int64_t lanes = blocking_.lanes(), dims = windows_.spatialDims();
  PointerBuilder p{e, lanes};
  auto vector = VectorType::get(lanes, e.b.getI64Type());
  int64_t bytes = std::max<int64_t>(windows_.x.getElementBytes(), 1);
  Dims strides = windows_.x.getStrides();
  auto byteStride = [&](size_t dim) { return lower(e, strides[dim] * Expr(bytes)); };
  auto coordinate = [&](int64_t dim) {
    return e.load(vector, coordinateAddress(e, dim, pixel), Value());
  };
  // The pixel's corner: where tap 0 lies, maybe outside.
  Value corner =
      e.add(p.splat(p.address(input)), p.scaled(coordinate(0), byteStride(0)));
  SmallVector<Value> starts;
  for (int64_t i = 0; i < dims; ++i) {
    Value start = p.scaled(coordinate(1 + i), e.constant(windows_.stride[i]));
    if (windows_.padding[i])
      start = e.sub(start, p.splat(e.constant(windows_.padding[i])));
    starts.push_back(start);
    corner = e.add(corner, p.scaled(start, byteStride(2 + i)));
  }
  Value table = this->table(e, panel);
  std::function<void(int64_t, Value, Value, Value)> level =
      [&](int64_t dim, Value tap, Value offset, Value inside) {
        if (dim == dims) {
          Value pointers = e.add(corner, p.splat(offset));
          if (inside)
            pointers = e.select(inside, pointers, p.splat(p.address(zeros)));
          e.store(pointers, e.address(e.b.getI64Type(), table, e.mul(tap, lanes)));
          return;
        }
        Value count = lower(e, windows_.taps[dim]);
        e.loop(count, [&](Value i) {
          Value moved = e.mul(i, windows_.dilation[dim]);
          Value fits = inside;
          if (windows_.isPadded(dim)) {
            Value at = e.add(starts[dim], p.splat(moved));
            fits = p.inside(at, lower(e, windows_.x.getSize(2 + dim)));
            if (inside)
              fits = arith::AndIOp::create(e.b, e.loc, inside, fits);
          }
          level(dim + 1, e.add(e.mul(tap, count), i),
                e.add(offset, e.mul(moved, byteStride(2 + dim))), fits);
        });
      };
  level(0, e.constant(0), e.constant(0), {});
}

} // namespace rtorch::codegen
