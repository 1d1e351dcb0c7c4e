//===- StructureOps.td - storages, writes, results -------------------------===//
#ifndef RTORCH_DIALECTS_RT_STRUCTUREOPS_TD
#define RTORCH_DIALECTS_RT_STRUCTUREOPS_TD

include "dialects/rt/RtOpBase.td"

def Rt_ParameterOp : Rt_Op<"parameter", [MemoryEffects<[MemRead]>]> {
  let summary = "parameter, buffer or constant of the model";
  let description = [{
    A tensor over one of the model's storages. Parameters that share a storage have
    the same `storage` number; `name` is the fully qualified name. `mutated` is set on
    storages that the program writes to.

    - (C1) `storage` is not negative.

    Example:
    ```mlir
    %w = rt.parameter "fc.weight" storage 0 : !rt.tensor<8x4xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, I64Attr:$storage, UnitAttr:$mutated);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "$name `storage` $storage (`mutated` $mutated^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Rt_WriteOp : Rt_Op<"write", []> {
  let summary = "store a tensor's values into the storage of another";
  let description = [{
    Writes `value` to the elements that `target` views. In the value form it stands at
    the end of the function and its target is an argument, a parameter or a view of one.

    - (C1) `value` and `target` have equal sizes.
    - (C2) `value` and `target` have the same dtype.

    Example:
    ```mlir
    rt.write %new into %buffer : !rt.tensor<4xf32> into !rt.tensor<4xf32>
    ```
  }];
  let arguments = (ins Rt_Tensor:$value, Arg<Rt_Tensor, "", [MemWrite]>:$target);
  let assemblyFormat = "$value `into` $target attr-dict `:` type($value) `into` type($target)";
  let hasVerifier = 1;
}

def Rt_ReturnOp : Rt_Op<"return", [Terminator, Pure]> {
  let summary = "results of the program";
  let description = [{
    - (C1) Operand types equal the function's result types.

    Example:
    ```mlir
    rt.return %y : !rt.tensor<4xf32>
    ```
  }];
  let arguments = (ins Variadic<Rt_Tensor>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
  let hasVerifier = 1;
}

#endif // RTORCH_DIALECTS_RT_STRUCTUREOPS_TD
