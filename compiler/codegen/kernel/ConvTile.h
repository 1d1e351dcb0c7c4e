// What kernels of dense convolutions share: how the work is cut into grid tiles, and
// the part of a grid tile that all panels of output channels have in common.
#pragma once

#include "compiler/codegen/gemm/Blocking.h"
#include "compiler/codegen/kernel/ConvWindows.h"
#include "compiler/codegen/kernel/KernelFunction.h"

namespace rtorch::codegen {

/// The sizes of a convolution and how they are cut. Its pixels are what a row of sums
/// belongs to: a position of the result or, of Winograd's kernel, two by two of them.
struct ConvShape {
  ConvWindows windows;
  gemm::RegisterTile tile;
  layout::Expr groups, inputs, outputs; ///< channels of a group
  layout::Expr panels, panelsPerTile, columnTiles;
  PixelBlocking pixels;
  bool keepsWeights = false; ///< those of a tile stay in the first-level cache

  /// What the kernel reduces the results by, in windows; null if they are stored.
  mlir::Operation *reduction = nullptr;
  llvm::SmallVector<int64_t> windowDims; ///< spatial dims of the reduced ones, in order
  llvm::SmallVector<int64_t> poolSizes;  ///< of the windows, in each spatial dim

  layout::Expr tilesPerGroup() const { return pixels.tiles * columnTiles; }
  layout::Expr gridTiles() const { return tilesPerGroup() * groups; }

  static ConvShape of(rt::PackedConvolutionOp op, const Target &target);

private:
  void findPool(rt::PackedConvolutionOp op);
  void pairPixels(rt::PackedConvolutionOp op);
  void cut(const Target &target, int64_t elementBytes, bool winograd);
};

/// Emits what a grid tile begins with; kernels add what they do with the windows.
class ConvTile {
public:
  ConvTile(KernelState &state, rt::PackedConvolutionOp op, const ConvShape &shape)
      : state_(state), op_(op), shape_(shape),
        tables_(state, shape.windows, shape.pixels, op),
        type_(rt::tensorType(op.getResult()).getElementType()) {}

protected:
  int64_t elementBytes() const { return type_.getIntOrFloatBitWidth() / 8; }
  mlir::Value lower(gemm::Emitter &e, const layout::Expr &expr) {
    return e.lower(expr, state_.symbols);
  }
  mlir::Value argument(mlir::Value value) {
    return state_.buffers[mlir::cast<mlir::BlockArgument>(value).getArgNumber()];
  }

  /// Bytes of scratch memory that emitPixels needs.
  layout::Expr pixelBytes() const { return zeroBytes() + tables_.scratchBytes(); }
  /// Finds the tile's group, panels and pixels, and fills the tables of the latter.
  void emitPixels(gemm::Emitter &e, mlir::Value tile, mlir::Value scratch);

  /// Emits `body` for a panel that begins at `channel`: with the number of its channels
  /// where they may be fewer than its columns, with null where it has all.
  void withColumns(gemm::Emitter &e, mlir::Value channel,
                   llvm::function_ref<void(mlir::Value left)> body);
  /// Emits `body` for the vectors of a row of sums, `left` as above; a null mask means
  /// all lanes.
  void forVectors(gemm::Emitter &e, mlir::Value left,
                  llvm::function_ref<void(mlir::Value column, mlir::Value mask)> body);
  /// Makes known what the convolution gives: `sums`, and the bias on top.
  void bindResult(Evaluator &values, mlir::Value sums);
  /// What the kernel's reduction makes of the window at `at` of its result; `bind`
  /// makes the convolution's results known for one pixel of it.
  mlir::Value
  reduceWindow(gemm::Emitter &e, const Indices &at, mlir::Value mask,
               llvm::function_ref<void(Evaluator &values, int64_t pixel)> bind);

  KernelState &state_;
  rt::PackedConvolutionOp op_;
  const ConvShape &shape_;
  WindowTables tables_;
  mlir::Type type_;
  // Of the tile that is emitted:
  mlir::Value group_;
  mlir::Value firstPanel_, endPanel_;
  mlir::Value count_;                ///< pixels
  mlir::Value height_, pixelPanels_; ///< of register tiles, and how many
  mlir::Value zeros_;                ///< what stands for pixels outside

private:
  bool needsZeros() const { return shape_.windows.isPadded(); }
  layout::Expr zeroBytes() const;
  Indices inWindow(gemm::Emitter &e, const Indices &at, int64_t pixel) const;
};

} // namespace rtorch::codegen
