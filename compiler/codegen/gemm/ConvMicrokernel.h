// The innermost loops of convolutions. Both read the input through a table of pointers,
// one for each pixel of the result and each tap of the window, so that borders,
// strides and dilations are the business of who makes the table.
//
// Tables are [tap][pixel] of the pixels of one register tile, `lanes` pointers a tap.
#pragma once

#include "compiler/codegen/gemm/Blocking.h"
#include "compiler/codegen/gemm/Emitter.h"

#include <vector>

namespace rtorch::gemm {

/// One register tile of a dense convolution: sums [pixel][columns] over taps and
/// channels of input elements times a packed weight [tap][channel][columns].
struct ConvOperands {
  mlir::Value table;         ///< of pointers
  mlir::Value taps;          ///< i64
  mlir::Value channels;      ///< i64, constant where static
  mlir::Value channelStride; ///< elements between channels of the input
  mlir::Value weights, sums;
};

/// Calls the microkernel for `height` pixels, which is one of `heights` (ascending);
/// `lanes` is the number of pointers a tap. Functions that the module lacks are added
/// to it; one that the sums are stored by.
void callConvMicrokernel(Emitter &e, mlir::Type elementType, const RegisterTile &tile,
                         int64_t lanes, llvm::ArrayRef<int64_t> heights,
                         mlir::Value height, const ConvOperands &operands);

/// Pixels side by side along the last dim, and their windows' taps along it: what is
/// seen of the input are columns, each of which is read once for all of them.
struct DepthwiseRun {
  int64_t pixels = 0, taps = 0, stride = 1, dilation = 1;
  int64_t columns() const { return (pixels - 1) * stride + (taps - 1) * dilation + 1; }
};

/// One run of a depthwise convolution: sums [pixel][lanes of a vector] over taps of
/// input elements times weights [rows of taps][taps][channels].
struct DepthwiseOperands {
  mlir::Value table;    ///< of pointers, to channel 0: [rows of taps][columns][lanes]
  int64_t lanes;        ///< runs that share the table
  mlir::Value rows;     ///< of taps: i64
  mlir::Value channel;  ///< the first one
  mlir::Value channels; ///< between taps of the weight
  mlir::Value weights;
  mlir::Value sums;
  mlir::Value count; ///< channels of the vector; null: all
};

void callDepthwiseMicrokernel(Emitter &e, mlir::Type elementType, int64_t width,
                              const DepthwiseRun &run,
                              const DepthwiseOperands &operands);

} // namespace rtorch::gemm
