// Where the windows of a convolution lie on its input: the coordinates of the pixels of
// a grid tile, and for each of them the pointers to the elements under each tap.
#pragma once

#include "compiler/codegen/kernel/Evaluator.h"

namespace rtorch::codegen {

/// Along one spatial dim, the results that are reduced together.
struct PooledAxis {
  int64_t size = 1, step = 1, dilation = 1;
};

/// Pixels are the positions of the result, [batch, spatial...] in row-major order, or,
/// where the result is pooled, those of one pooled position after another; taps those
/// of the window.
struct ConvWindows {
  rt::TensorType x;
  layout::Dims result; ///< sizes of the result
  layout::Dims taps;   ///< sizes of the window
  llvm::SmallVector<int64_t> stride, padding, dilation;
  llvm::SmallVector<PooledAxis> pool = {}; ///< of each spatial dim; empty: not pooled
  layout::Dims pooled = {};                ///< sizes of the pooled result
  bool overhangs = false; ///< the last windows may reach beyond the padded input

  /// Pixels that are reduced together, one after the other.
  int64_t pooledPixels() const;
  int64_t spatialDims() const { return taps.size(); }
  layout::Dims pixelDims() const;
  layout::Expr pixels() const { return layout::numel(pixelDims()); }
  layout::Expr tapCount() const { return layout::numel(taps); }
  /// Some windows reach beyond the input.
  bool isPadded() const;
  bool isPadded(size_t dim) const { return overhangs || padding[dim] > 0; }
  /// A row of zeros in the place of pixels outside can be read like the input's
  /// channels.
  bool hasContiguousChannels() const { return x.getStrides()[1].isConstant(1); }
};

/// What bounds the pixels of a grid tile.
struct PixelLimits {
  int64_t elements = 64 << 10; ///< that are read; they stay in the second-level cache
  int64_t least = 48;          ///< pixels in any case, where there are so many
};

/// How many pixels one grid tile takes, and how they are cut into register tiles of
/// equal height.
struct PixelBlocking {
  layout::Expr rows;            ///< pixels of a grid tile
  layout::Expr tiles;           ///< of the grid
  std::vector<int64_t> heights; ///< of register tiles, ascending
  int64_t lanes() const { return heights.back(); }
  /// Pixels that have coordinates: whole register tiles behind the last one.
  layout::Expr capacity() const { return rows + 2 * lanes(); }
  /// Register tiles of a grid tile.
  layout::Expr panels() const { return layout::ceildiv(rows, heights.front()); }

  /// For register tiles of up to `maxHeight` pixels; `channelElements` of what is read
  /// belong to a pixel, and the grid has other tiles for each pixel tile already.
  static PixelBlocking of(const ConvWindows &windows, int64_t maxHeight,
                          const layout::Expr &channelElements,
                          const layout::Expr &otherTiles,
                          const PixelLimits &limits = {});
};

/// Emits the tables of one grid tile.
class WindowTables {
public:
  /// `convolution` is the op in the kernel that the windows are of.
  WindowTables(KernelState &state, const ConvWindows &windows,
               const PixelBlocking &blocking, mlir::Operation *convolution);

  layout::Expr scratchBytes() const;
  /// Fills the coordinates of `count` pixels from `first` on; `scratch` has room for
  /// scratchBytes(). `zeros`: a row of zeros, null where the windows need none.
  void emitCoordinates(gemm::Emitter &e, mlir::Value first, mlir::Value count,
                       mlir::Value scratch);
  /// Fills the table of the register tile `panel`, whose first pixel is `pixel` of the
  /// tile. `input` points to element 0 of the first channel that is read.
  void emitTable(gemm::Emitter &e, mlir::Value panel, mlir::Value pixel,
                 mlir::Value input, mlir::Value zeros);
  mlir::Value table(gemm::Emitter &e, mlir::Value panel);
  /// Place `dim` of a pixel of the tile, the batch's being 0.
  mlir::Value coordinate(gemm::Emitter &e, size_t dim, mlir::Value pixel) {
    return e.load(e.b.getI64Type(), coordinateAddress(e, dim, pixel));
  }
  /// The indices into the result of `channel` of a pixel of the tile.
  Indices indicesOf(gemm::Emitter &e, mlir::Value pixel, Index channel);

private:
  mlir::Value lower(gemm::Emitter &e, const layout::Expr &expr) {
    return e.lower(expr, state_.symbols);
  }
  mlir::Value coordinateAddress(gemm::Emitter &e, size_t dim, mlir::Value pixel);
  layout::Expr coordinateBytes() const;

  KernelState &state_;
  const ConvWindows &windows_;
  const PixelBlocking &blocking_;
  /// The kernel stores to, and reads beside the convolution, tensors in which pixels
  /// follow each other at one distance: the number of a pixel is its index.
  bool flat_;
  mlir::Value first_, coordinates_, tables_;
};

} // namespace rtorch::codegen
