//===- ViewOps.td - ops whose result aliases their source ------------------===//
#ifndef RTORCH_DIALECTS_RT_VIEWOPS_TD
#define RTORCH_DIALECTS_RT_VIEWOPS_TD

include "dialects/rt/RtOpBase.td"

/// Every view op has the constraint (C1) that its result layout is the one that
/// viewLayout computes; the class's verifier checks it where sizes are numbers, the
/// pass rt-verify-layouts in general.
class Rt_AliasOp<string mnemonic, dag args, string format>
    : Rt_Op<mnemonic, [Pure, DeclareOpInterfaceMethods<Rt_ViewOpInterface, ["viewLayout"]>]> {
  let arguments = !con((ins Rt_Tensor:$source), args);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat =
    "$source " # format # " attr-dict `:` type($source) `->` type($result)";
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::verify() { return verifyView(*this); }
  }];
  let hasVerifier = 1;
}

def Rt_ViewOp : Rt_AliasOp<"view", (ins), ""> {
  let summary = "reinterpret the sizes without moving data";
  let description = [{
    The result has the elements of `source` in row-major order of their indices.

    - (C1) The result's layout is the one of a view of `source` with the result's sizes.
    - (C2) `source` and `result` have the same number of elements.

    Example:
    ```mlir
    %v = rt.view %x : !rt.tensor<4x6xf32> -> !rt.tensor<24xf32>
    ```
  }];
}

def Rt_PermuteOp : Rt_AliasOp<"permute", (ins DenseI64ArrayAttr:$permutation), "$permutation"> {
  let summary = "permute the dims";
  let description = [{
    `sizes(result)[i] = sizes(source)[permutation[i]]`, strides likewise.

    - (C1) The result's layout is the permuted one.
    - (C2) `permutation` is a permutation of the source's dims.

    Example:
    ```mlir
    %t = rt.permute %x [1, 0]
       : !rt.tensor<4x6xf32> -> !rt.tensor<6x4xf32, strided<[1, 6]>>
    ```
  }];
}

def Rt_ExpandOp : Rt_AliasOp<"expand", (ins), ""> {
  let summary = "repeat size-1 dims and new leading dims with stride 0";
  let description = [{
    - (C1) The result's layout is the expanded one.
    - (C2) Each dim of `source`, aligned right, has size 1 or the result's size.

    Example:
    ```mlir
    %e = rt.expand %x : !rt.tensor<1x6xf32> -> !rt.tensor<4x6xf32, strided<[0, 1]>>
    ```
  }];
}

def Rt_UnsqueezeOp : Rt_AliasOp<"unsqueeze", (ins I64Attr:$dim), "$dim"> {
  let summary = "insert a dim of size 1";
  let description = [{
    - (C1) The result's layout is the source's with a dim of size 1 inserted.
    - (C2) `dim` is between 0 and the source's rank.

    Example:
    ```mlir
    %u = rt.unsqueeze %x 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x1x6xf32, strided<[6, 6, 1]>>
    ```
  }];
}

def Rt_SqueezeOp : Rt_AliasOp<"squeeze", (ins DenseI64ArrayAttr:$dims), "$dims"> {
  let summary = "drop those of the given dims that have size 1";
  let description = [{
    - (C1) The result's layout is the source's without those dims.
    - (C2) `dims` are ascending dims of the source.

    Example:
    ```mlir
    %s = rt.squeeze %x [0] : !rt.tensor<1x6xf32> -> !rt.tensor<6xf32>
    ```
  }];
}

def Rt_SelectOp : Rt_AliasOp<"select", (ins I64Attr:$dim, Rt_ExprAttr:$index), "$dim `at` $index"> {
  let summary = "drop a dim at one index";
  let description = [{
    - (C1) The result's layout is the source's without `dim`, offset by
      `index * stride`.
    - (C2) `dim` is a dim of the source.

    Example:
    ```mlir
    %s = rt.select %x 0 at <2> : !rt.tensor<4x6xf32> -> !rt.tensor<6xf32, strided<[1], offset: 12>>
    ```
  }];
}

def Rt_SliceOp : Rt_AliasOp<"slice",
    (ins I64Attr:$dim, Rt_ExprAttr:$start, Rt_ExprAttr:$end, I64Attr:$step),
    "$dim `from` $start `to` $end `step` $step"> {
  let summary = "every step-th index of a dim between two bounds";
  let description = [{
    Bounds are those of Python's slices: negative ones count from the end, both are
    clamped.

    - (C1) The result's layout is the sliced one.
    - (C2) `dim` is a dim of the source.
    - (C3) `step` is positive.

    Example:
    ```mlir
    %s = rt.slice %x 1 from <0> to <3> step 1
       : !rt.tensor<4x6xf32> -> !rt.tensor<4x3xf32, strided<[6, 1]>>
    ```
  }];
}

def Rt_DiagonalOp : Rt_AliasOp<"diagonal",
    (ins I64Attr:$offset, I64Attr:$dim1, I64Attr:$dim2), "$offset `,` $dim1 `,` $dim2"> {
  let summary = "diagonal of two dims as the last dim";
  let description = [{
    - (C1) The result's layout is the diagonal's.
    - (C2) `dim1` and `dim2` are different dims of the source.

    Example:
    ```mlir
    %d = rt.diagonal %x 0, 0, 1 : !rt.tensor<4x4xf32> -> !rt.tensor<4xf32, strided<[5]>>
    ```
  }];
}

def Rt_UnfoldOp : Rt_AliasOp<"unfold",
    (ins I64Attr:$dim, I64Attr:$size, I64Attr:$step, DefaultValuedAttr<I64Attr, "1">:$dilation),
    "$dim `size` $size `step` $step (`dilation` $dilation^)?"> {
  let summary = "sliding windows of a dim as a new last dim";
  let description = [{
    A window takes `size` elements that are `dilation` apart; the next one begins `step`
    elements later.

    - (C1) The result's layout is the unfolded one.
    - (C2) `dim` is a dim of the source.
    - (C3) `size` is not negative, `step` and `dilation` are positive.

    Example:
    ```mlir
    %u = rt.unfold %x 0 size 2 step 2
       : !rt.tensor<4xf32> -> !rt.tensor<2x2xf32>
    ```
  }];
}

def Rt_AsStridedOp : Rt_AliasOp<"as_strided", (ins), ""> {
  let summary = "view of the whole storage with given layout";
  let description = [{
    The result's layout is absolute in the storage of `source`.

    - (C1) Strides of the result are not negative.

    Example:
    ```mlir
    %a = rt.as_strided %x : !rt.tensor<4x4xf32> -> !rt.tensor<2x2xf32, strided<[1, 2], offset: 3>>
    ```
  }];
}

#endif // RTORCH_DIALECTS_RT_VIEWOPS_TD
