//===- KernelOps.td - kernels and the schedule that launches them ----------===//
#ifndef RTORCH_DIALECTS_RT_KERNELOPS_TD
#define RTORCH_DIALECTS_RT_KERNELOPS_TD

include "dialects/rt/RtOpBase.td"
include "mlir/IR/SymbolInterfaces.td"

def Rt_KernelOp : Rt_Op<"kernel", [IsolatedFromAbove, Symbol, SingleBlock]> {
  let summary = "fused ops that run as one launch";
  let description = [{
    The block's arguments are the buffers that the kernel reads; it stores the operands
    of `rt.yield` into result buffers of their types' layouts. Symbols are the kernel's
    own, k0, k1, ..., so that equal kernels are equal; `symbols` declares their ranges.

    - (C1) The body ends with `rt.yield`.
    - (C2) Arguments and yielded tensors have no offset.

    Example:
    ```mlir
    rt.kernel @relu_0 symbols [#rt.symbol<"k0", 1, 64, 3>] {
    ^bb0(%x: !rt.tensor<[k0, 8]xf32>):
      %y = rt.relu %x : !rt.tensor<[k0, 8]xf32> -> !rt.tensor<[k0, 8]xf32>
      rt.yield %y : !rt.tensor<[k0, 8]xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, ArrayAttr:$symbols);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `symbols` $symbols attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block &getBlock() { return getBody().front(); }
    YieldOp getYield();
  }];
}

def Rt_YieldOp : Rt_Op<"yield", [Terminator, Pure, HasParent<"KernelOp">]> {
  let summary = "results of a kernel";
  let description = [{
    - (C1) At least one tensor is yielded.

    Example:
    ```mlir
    rt.yield %y : !rt.tensor<4xf32>
    ```
  }];
  let arguments = (ins Variadic<Rt_Tensor>:$operands);
  let assemblyFormat = "$operands attr-dict `:` type($operands)";
  let hasVerifier = 1;
}

def Rt_LaunchOp : Rt_Op<"launch", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run a kernel";
  let description = [{
    `values` are the values of the kernel's symbols. The kernel's last results are
    written to `targets`; the others are the launch's results, whose place in memory
    the attribute `slots` tells after memory planning: bytes into the arena, or
    nothing for results that have memory of their own.

    - (C1) `kernel` names an `rt.kernel`.
    - (C2) Operands, results and targets match the kernel's in number and dtype.
    - (C3) There are as many `values` as the kernel has symbols.

    Example:
    ```mlir
    %y = rt.launch @relu_0(%x) values [#rt.expr<s0>]
       : (!rt.tensor<[s0, 8]xf32>) -> !rt.tensor<[s0, 8]xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Rt_Tensor>:$inputs,
                       Variadic<Rt_Tensor>:$targets, ArrayAttr:$values,
                       OptionalAttr<ArrayAttr>:$slots);
  let results = (outs Variadic<Rt_Tensor>:$results);
  let assemblyFormat = [{
    $kernel `(` $inputs `)` (`into` `(` $targets^ `)`)? `values` $values (`slots` $slots^)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // RTORCH_DIALECTS_RT_KERNELOPS_TD
