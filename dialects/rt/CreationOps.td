//===- CreationOps.td - tensors from nothing, copies -----------------------===//
#ifndef RTORCH_DIALECTS_RT_CREATIONOPS_TD
#define RTORCH_DIALECTS_RT_CREATIONOPS_TD

include "dialects/rt/RtOpBase.td"

def Rt_FullOp : Rt_ComputeOp<"full"> {
  let summary = "tensor with one value everywhere";
  let description = [{
    A scalar operand of eager PyTorch is a rank-0 `rt.full`. `value` is a float, an
    integer, a bool or an expression over symbols (an integer).

    - (C1) The kind of `value` fits the dtype: a float for floating dtypes, an integer
      or expression for the others, true or false for bool. An expression fits floating
      dtypes too.

    Example:
    ```mlir
    %zero = rt.full 0.0 : f32 -> !rt.tensor<f32>
    %n = rt.full #rt.expr<s0> -> !rt.tensor<i64>
    ```
  }];
  let arguments = (ins AnyAttr:$value);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$value attr-dict `->` type($result)";
}

def Rt_IotaOp : Rt_ComputeOp<"iota"> {
  let summary = "start + step * index";
  let description = [{
    A rank-1 tensor of numbers with equal distance, `torch.arange`.

    - (C1) The result has rank 1.
    - (C2) `start` and `step` are floats for floating dtypes, and expressions or
      integers otherwise.

    Example:
    ```mlir
    %i = rt.iota from #rt.expr<0> step #rt.expr<1> -> !rt.tensor<[s0]xi64>
    ```
  }];
  let arguments = (ins AnyAttr:$start, AnyAttr:$step);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "`from` $start `step` $step attr-dict `->` type($result)";
}

def Rt_CloneOp : Rt_ComputeOp<"clone"> {
  let summary = "copy into a new storage";
  let description = [{
    Gives a tensor of its own storage with the result's strides (`clone`,
    `contiguous`, and `reshape` where no view exists).

    - (C1) `source` and `result` have equal sizes.
    - (C2) `source` and `result` have the same dtype.

    Example:
    ```mlir
    %c = rt.clone %t : !rt.tensor<6x4xf32, strided<[1, 6]>> -> !rt.tensor<6x4xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$source);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `->` type($result)";
}

#endif // RTORCH_DIALECTS_RT_CREATIONOPS_TD
