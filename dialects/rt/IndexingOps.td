//===- IndexingOps.td - ops that move elements -----------------------------===//
#ifndef RTORCH_DIALECTS_RT_INDEXINGOPS_TD
#define RTORCH_DIALECTS_RT_INDEXINGOPS_TD

include "dialects/rt/RtOpBase.td"

def Rt_IndexSelectOp : Rt_ComputeOp<"index_select"> {
  let summary = "slices of a tensor along a dim, by a tensor of indices";
  let description = [{
    `result[.., i.., ..] = source[.., indices[i..], ..]` with the indices' dims in the
    place of `dim`. An index outside of 0 to size - 1 is an error when it runs
    (`embedding` is the case `dim` = 0).

    - (C1) `dim` is a dim of `source`.
    - (C2) The result's sizes are the source's with `dim` replaced by the indices' sizes.
    - (C3) `source` and `result` have the same dtype.

    Example:
    ```mlir
    %y = rt.index_select %table, %ids dim 0
       : !rt.tensor<100x8xf32>, !rt.tensor<4xi64> -> !rt.tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$source, Rt_IndexTensor:$indices, I64Attr:$dim);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$source `,` $indices `dim` $dim attr-dict `:` type($source) `,` type($indices) `->` type($result)";
}

def Rt_CatOp : Rt_ComputeOp<"cat"> {
  let summary = "tensors one after the other along a dim";
  let description = [{
    - (C1) There is at least one input and `dim` is a dim of the result.
    - (C2) All inputs have the result's rank and dtype, and its sizes but for `dim`,
      whose sizes add up to the result's.

    Example:
    ```mlir
    %y = rt.cat %a, %b dim 0 : (!rt.tensor<4x8xf32>, !rt.tensor<2x8xf32>) -> !rt.tensor<6x8xf32>
    ```
  }];
  let arguments = (ins Variadic<Rt_Tensor>:$inputs, I64Attr:$dim);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$inputs `dim` $dim attr-dict `:` functional-type($inputs, results)";
}

def Rt_ScatterViewOp : Rt_ComputeOp<"scatter_view"> {
  let summary = "a tensor with the elements that a view would see replaced";
  let description = [{
    The value form of a write through a view: the result equals `source` but for the
    elements that a view of it with layout `region` touches, which are `value`'s.
    `region` is the layout of the view within a row-major tensor of the source's sizes.

    - (C1) `source` and `result` have equal sizes.
    - (C2) All dtypes are equal.
    - (C3) `region` is a strided layout with the sizes of `value`.

    Example:
    ```mlir
    %y = rt.scatter_view %x, %v at !rt.tensor<4xf32, strided<[8], offset: 1>>
       : !rt.tensor<4x8xf32>, !rt.tensor<4xf32> -> !rt.tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$source, Rt_Tensor:$value, TypeAttrOf<Rt_Tensor>:$region);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$source `,` $value `at` $region attr-dict `:` type($source) `,` type($value) `->` type($result)";
}

#endif // RTORCH_DIALECTS_RT_INDEXINGOPS_TD
