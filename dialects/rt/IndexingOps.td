//===- IndexingOps.td - ops that move elements -----------------------------===//
#ifndef RTORCH_DIALECTS_RT_INDEXINGOPS_TD
#define RTORCH_DIALECTS_RT_INDEXINGOPS_TD

include "dialects/rt/RtOpBase.td"

def Rt_IndexOp : Rt_ComputeOp<"index"> {
  let summary = "elements of a tensor at places that tensors of indices give";
  let description = [{
    Indexing by tensors: dim `dims[i]` of `source` is indexed by `indices[i]`. The dims
    of the indices' broadcast stand in the result from dim `position` on, between the
    dims of `source` that are not indexed. With `wraps`, negative indices count from the
    end. Any other index outside of 0 to size - 1 is an error when it runs. (`embedding`
    and `index_select` index one dim, `gather` all of them, with `rt.iota` for those
    that stay.)

    - (C1) `dims` are different dims of `source`, one for each of `indices`.
    - (C2) The sizes of `indices` broadcast.
    - (C3) `position` is at most the number of dims that are not indexed.
    - (C4) The result's sizes are those of the dims of `source` that are not indexed,
      with the broadcast sizes inserted at `position`.
    - (C5) `source` and `result` have the same dtype.

    Example:
    ```mlir
    %y = rt.index %table [%ids] dims [0] at 0
       : (!rt.tensor<100x8xf32>, !rt.tensor<4xi64>) -> !rt.tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$source, Variadic<Rt_IndexTensor>:$indices,
                       DenseI64ArrayAttr:$dims, I64Attr:$position, UnitAttr:$wraps);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = [{
    $source `[` $indices `]` `dims` $dims `at` $position (`wraps` $wraps^)? attr-dict
    `:` functional-type(operands, results)
  }];
}

def Rt_ScatterOp : Rt_ComputeOp<"scatter"> {
  let summary = "a tensor with elements replaced at places that tensors of indices give";
  let description = [{
    The result equals `source`, but at the places that `rt.index` with the same indices
    would read, `updates` was combined with it: `set` (the last one stays where several
    meet), `add`, `mul`, `amax` or `amin`, in the row-major order of the updates.

    - (C1) `dims` are different dims of `source`, one for each of `indices`.
    - (C2) The sizes of `indices` broadcast.
    - (C3) `position` is at most the number of dims that are not indexed.
    - (C4) The sizes of `updates` are those of the dims of `source` that are not
      indexed, with the broadcast sizes inserted at `position`.
    - (C5) `source`, `updates` and `result` have the same dtype.
    - (C6) `source` and `result` have equal sizes.
    - (C7) `combine` is one of `set`, `add`, `mul`, `amax`, `amin`.

    Example:
    ```mlir
    %y = rt.scatter %x [%ids] dims [0] at 0 combine "add" updates %u
       : (!rt.tensor<100x8xf32>, !rt.tensor<4xi64>, !rt.tensor<4x8xf32>) -> !rt.tensor<100x8xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$source, Variadic<Rt_IndexTensor>:$indices, Rt_Tensor:$updates,
                       DenseI64ArrayAttr:$dims, I64Attr:$position, StrAttr:$combine, UnitAttr:$wraps);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = [{
    $source `[` $indices `]` `dims` $dims `at` $position (`wraps` $wraps^)?
    `combine` $combine `updates` $updates attr-dict `:` functional-type(operands, results)
  }];
}

def Rt_PadOp : Rt_ComputeOp<"pad"> {
  let summary = "a tensor with a value around it";
  let description = [{
    `source` begins at index `low` of the result; everything outside is `value`, which
    is given as for `rt.full`.

    - (C1) `low` has an expression for each dim of `source`.
    - (C2) `source` and `result` have equal ranks and the same dtype.
    - (C3) The kind of `value` fits the dtype, as for `rt.full`.

    Example:
    ```mlir
    %y = rt.pad %x value 0.0 : f32 low [#rt.expr<0>, #rt.expr<1>]
       : !rt.tensor<4x6xf32> -> !rt.tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$source, Rt_ExprArrayAttr:$low, AnyAttr:$value);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$source `value` $value `low` $low attr-dict `:` type($source) `->` type($result)";
}

def Rt_ScanOp : Rt_ComputeOp<"scan"> {
  let summary = "running sums, products or extremes along a dim";
  let description = [{
    `result[i]` combines elements 0 to i of dim `dim`: `add`, `mul`, `max`, `min` (NaN
    wins) or `logaddexp`.

    - (C1) `x` and `result` have equal sizes and dtype.
    - (C2) `dim` is a dim of `x`.
    - (C3) `combine` is one of `add`, `mul`, `max`, `min`, `logaddexp`.

    Example:
    ```mlir
    %y = rt.scan %x 1 combine "add" : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$x, I64Attr:$dim, StrAttr:$combine);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$x $dim `combine` $combine attr-dict `:` type($x) `->` type($result)";
}

def Rt_SortOp : Rt_ComputeOp<"sort"> {
  let summary = "elements along a dim in order, and where they were";
  let description = [{
    Stable; NaN counts as larger than any number. Results that are smaller than `x` along
    `dim` are the first of all.

    - (C1) `values` and `indices` have the sizes of `x`, or fewer elements along `dim`, and
      `values` the dtype of `x`.
    - (C2) `dim` is a dim of `x`.

    Example:
    ```mlir
    %v, %i = rt.sort %x 1 descending false
       : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>, !rt.tensor<4x6xi64>
    ```
  }];
  let arguments = (ins Rt_Tensor:$x, I64Attr:$dim, BoolAttr:$descending);
  let results = (outs Rt_Tensor:$values, Rt_IndexTensor:$indices);
  let assemblyFormat = "$x $dim `descending` $descending attr-dict `:` type($x) `->` type($values) `,` type($indices)";
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
