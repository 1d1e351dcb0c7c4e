//===- ContractionOps.td - sums of products --------------------------------===//
#ifndef RTORCH_DIALECTS_RT_CONTRACTIONOPS_TD
#define RTORCH_DIALECTS_RT_CONTRACTIONOPS_TD

include "dialects/rt/RtOpBase.td"

def Rt_LinearOp : Rt_ComputeOp<"linear"> {
  let summary = "x times the transposed weight, plus bias";
  let description = [{
    `result[..., n] = sum_k x[..., k] * weight[n, k] + bias[n]`.

    - (C1) `x` has rank 1 or more, `weight` rank 2 and `bias` rank 1.
    - (C2) The last dim of `x` and the last of `weight` have equal sizes.
    - (C3) The result's sizes are those of `x` with the last replaced by the first of
      `weight`, which is also the size of `bias`.
    - (C4) All dtypes are equal.

    Example:
    ```mlir
    %y = rt.linear %x, %w, %b
       : (!rt.tensor<4x6xf32>, !rt.tensor<8x6xf32>, !rt.tensor<8xf32>) -> !rt.tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$x, Rt_FloatTensor:$weight, Optional<Rt_FloatTensor>:$bias);
  let results = (outs Rt_FloatTensor:$result);
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? attr-dict `:` functional-type(operands, results)";
}

def Rt_MatmulOp : Rt_ComputeOp<"matmul"> {
  let summary = "batched product of matrices";
  let description = [{
    `result[..., m, n] = sum_k lhs[..., m, k] * rhs[..., k, n]`, leading dims broadcast.

    - (C1) `lhs` and `rhs` have rank 2 or more.
    - (C2) The last dim of `lhs` and the last but one of `rhs` have equal sizes.
    - (C3) The result's sizes are the broadcast leading dims, m and n.
    - (C4) All dtypes are equal.

    Example:
    ```mlir
    %c = rt.matmul %a, %b
       : !rt.tensor<4x8xf32>, !rt.tensor<8x16xf32, strided<[1, 8]>> -> !rt.tensor<4x16xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$lhs, Rt_FloatTensor:$rhs);
  let results = (outs Rt_FloatTensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)";
}

def Rt_ConvolutionOp : Rt_ComputeOp<"convolution"> {
  let summary = "sums of products over sliding windows";
  let description = [{
    `result[n, o, p..] = bias[o] + sum_{c, t..} x[n, c, (p * stride - padding + t *
    dilation)..] * weight[o, c, t..]`, with `x` 0 outside its sizes and `c` over the
    channels of the group of `o`. If `transposed`, the gradient of that with regard to
    its input: `weight` is [c, o / groups, t..] and every `x[n, c, q..]` adds to the
    results at `q * stride - padding + t * dilation`.

    - (C1) `x`, `weight` and `result` have equal ranks of 3 to 5, `bias` rank 1.
    - (C2) `stride`, `padding`, `dilation` and `output_padding` have a number for each
      spatial dim; strides and dilations are positive, the others not negative.
    - (C3) `groups` is positive, divides the channels of `x` and those of the result,
      and the weight's sizes fit them.
    - (C4) The result's sizes are the batch, the weight's output channels and the number
      of windows in each spatial dim; `bias` has the size of the output channels.
    - (C5) All dtypes are equal.

    Example:
    ```mlir
    %y = rt.convolution %x, %w, %b stride [2, 2] padding [1, 1] dilation [1, 1] groups 1
       : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<6x3x3x3xf32>, !rt.tensor<6xf32>) -> !rt.tensor<1x6x4x4xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$x, Rt_FloatTensor:$weight, Optional<Rt_FloatTensor>:$bias,
                       DenseI64ArrayAttr:$stride, DenseI64ArrayAttr:$padding,
                       DenseI64ArrayAttr:$dilation, I64Attr:$groups,
                       OptionalAttr<DenseI64ArrayAttr>:$output_padding);
  let results = (outs Rt_FloatTensor:$result);
  let assemblyFormat = [{
    $x `,` $weight (`,` $bias^)? `stride` $stride `padding` $padding `dilation` $dilation
    `groups` $groups (`transposed` `output_padding` $output_padding^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    /// Whether it is a transposed convolution: those have an output padding.
    bool isTransposed() { return getOutputPadding().has_value(); }
    /// Sizes of the result for operands of the right ranks (C4).
    static ::rtorch::layout::Dims resultSizes(
        const ::rtorch::layout::Dims &x, const ::rtorch::layout::Dims &weight,
        ::llvm::ArrayRef<int64_t> stride, ::llvm::ArrayRef<int64_t> padding,
        ::llvm::ArrayRef<int64_t> dilation, int64_t groups,
        std::optional<::llvm::ArrayRef<int64_t>> outputPadding);
  }];
}

def Rt_AttentionOp : Rt_ComputeOp<"attention"> {
  let summary = "scaled dot-product attention";
  let description = [{
    `softmax(scale * query * key^T + mask) * value` over the last two dims, leading dims
    broadcast. A bool mask leaves out the scores where it is false; `causal` leaves out
    keys after the query. A row without any score above -inf is 0, or NaN as a softmax's
    if `nan_rows`. With `grouped`, dim -3 of
    `key` and `value` divides that of `query`, and each of their heads serves as many
    heads in turn.

    - (C1) `query`, `key` and `value` have equal ranks of 2 or more.
    - (C2) The last dims of `query` and `key` are equal, and the last but one of `key`
      and `value`.
    - (C3) The result's sizes are the query's leading dims and length and the value's
      last dim.
    - (C4) All dtypes are equal; that of `mask` may be bool.
    - (C5) `mask` broadcasts to the scores.

    Example:
    ```mlir
    %y = rt.attention %q, %k, %v scale 0.125 causal false grouped false
       : (!rt.tensor<2x5x64xf32>, !rt.tensor<2x7x64xf32>, !rt.tensor<2x7x64xf32>) -> !rt.tensor<2x5x64xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$query, Rt_FloatTensor:$key, Rt_FloatTensor:$value,
                       Optional<Rt_Tensor>:$mask, F64Attr:$scale, BoolAttr:$causal, BoolAttr:$grouped,
                       UnitAttr:$nan_rows);
  let results = (outs Rt_FloatTensor:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` $mask^)? `scale` $scale `causal` $causal `grouped` $grouped
    (`nan_rows` $nan_rows^)? attr-dict `:` functional-type(operands, results)
  }];
}

def Rt_PackOp : Rt_Op<"pack", [Pure]> {
  let summary = "weight in the layout of the contraction kernels";
  let description = [{
    The matrix `source`, taken as [k, n] (as [n, k] if `transposed`), in panels of
    `panel` columns: `[ceil(n / panel), k, panel]`, zero where n ends.

    - (C1) `source` has rank 2.
    - (C2) The result is row-major of sizes ceil(n / panel), k rounded up to
      `k_multiple`, `panel`.

    Example:
    ```mlir
    %p = rt.pack %w transposed true panel 32 k_multiple 4 : !rt.tensor<40x6xf32> -> !rt.tensor<2x8x32xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$source, BoolAttr:$transposed, I64Attr:$panel, I64Attr:$k_multiple);
  let results = (outs Rt_FloatTensor:$result);
  let assemblyFormat = "$source `transposed` $transposed `panel` $panel `k_multiple` $k_multiple attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Rt_PackedLinearOp : Rt_ComputeOp<"packed_linear"> {
  let summary = "linear with a weight that is packed ahead";
  let description = [{
    `rt.linear` of a weight [columns, k] that `rt.pack` brought into panels.

    - (C1) `x` has rank 1 or more, `packed` rank 3 and `bias` rank 1.
    - (C2) The result's sizes are those of `x` with the last replaced by `columns`,
      which is also the size of `bias`.
    - (C3) All dtypes are equal.

    Example:
    ```mlir
    %y = rt.packed_linear %x, %p columns 40
       : (!rt.tensor<4x6xf32>, !rt.tensor<2x8x32xf32>) -> !rt.tensor<4x40xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$x, Rt_FloatTensor:$packed,
                       Optional<Rt_FloatTensor>:$bias, I64Attr:$columns);
  let results = (outs Rt_FloatTensor:$result);
  let assemblyFormat = [{
    $x `,` $packed (`,` $bias^)? `columns` $columns attr-dict `:` functional-type(operands, results)
  }];
}

def Rt_PackedConvolutionOp : Rt_ComputeOp<"packed_convolution"> {
  let summary = "convolution with a weight in the layout of its kernel";
  let description = [{
    `rt.convolution`, not transposed, of a weight [`channels`, c, t..] that was brought
    into panels of output channels, `[groups, panels, t.., c, width]`: channel `o` of a
    group is number `o mod width` of panel `o div width`.

    - (C1) `x` has rank 3 to 5, `packed` a rank larger by 2, and `bias` rank 1.
    - (C2) `stride`, `padding` and `dilation` have a number for each spatial dim;
      strides and dilations are positive, paddings not negative.
    - (C3) The groups are a number that divides `channels`, the channels of `x` are
      those of all groups, and the panels have room for those of the result.
    - (C4) The result's sizes are the batch, `channels` and the number of windows in
      each spatial dim; `bias` has the size `channels`.
    - (C5) All dtypes are equal.
    - (C6) With `winograd`, `x` has rank 4, `packed` has windows of 4 x 4, and strides
      and dilations are 1: the windows are those of 3 x 3 taps g, in the place of which
      `packed` holds G g G' of F(2 x 2, 3 x 3), with the rows 1 0 0, 1/2 1/2 1/2,
      1/2 -1/2 1/2, 0 0 1 of G.

    Example:
    ```mlir
    %y = rt.packed_convolution %x, %p, %b channels 6 stride [2, 2] padding [1, 1] dilation [1, 1]
       : (!rt.tensor<1x3x8x8xf32>, !rt.tensor<1x1x3x3x3x8xf32>, !rt.tensor<6xf32>) -> !rt.tensor<1x6x4x4xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$x, Rt_FloatTensor:$packed, Optional<Rt_FloatTensor>:$bias,
                       I64Attr:$channels, DenseI64ArrayAttr:$stride, DenseI64ArrayAttr:$padding,
                       DenseI64ArrayAttr:$dilation, UnitAttr:$winograd);
  let results = (outs Rt_FloatTensor:$result);
  let assemblyFormat = [{
    $x `,` $packed (`,` $bias^)? `channels` $channels `stride` $stride `padding` $padding
    `dilation` $dilation (`winograd` $winograd^)? attr-dict `:` functional-type(operands, results)
  }];
}

#endif // RTORCH_DIALECTS_RT_CONTRACTIONOPS_TD
