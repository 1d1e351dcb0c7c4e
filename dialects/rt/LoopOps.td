//===- LoopOps.td - loops and branches -------------------------------------===//
#ifndef RTORCH_DIALECTS_RT_LOOPOPS_TD
#define RTORCH_DIALECTS_RT_LOOPOPS_TD

include "dialects/rt/RtOpBase.td"

def Rt_LoopOp : Rt_Op<"loop", [SingleBlock, RecursiveMemoryEffects, AttrSizedOperandSegments]> {
  let summary = "rounds that hand values on, and stack what each of them gives";
  let description = [{
    Runs its body `trips` times. The symbol `round`, which the function declares, counts
    0, 1, ... and may be used in expressions inside, but not in sizes that leave the
    body. The block's arguments are the carried values: `inits` in the first round, then
    what `rt.next` gave in the round before. The first results are the carried values
    after the last round; each further one has what every round gave at its number in
    dim `stacked[i]`, counted from the end if `reversed[i]`.

    A `conditional` loop ends before the first round in which its first carried value is
    false.

    In a schedule, loops have no operands but `condition`, the place in memory of that
    first value, and no results: their launches write to `rt.buffer`s. There, `round`
    keeps its last value, the number of rounds that were run, behind the loop.

    - (C1) The block has one argument for each of `inits`, row-major, of its sizes and
      dtype.
    - (C2) The body ends with an `rt.next` of one value for each result.
    - (C3) Carried values, what `rt.next` gives for them, and their results have equal
      sizes and dtypes.
    - (C4) `stacked` and `reversed` have an entry for each further result, whose sizes
      are those of the value given with `trips` inserted at the dim.
    - (C5) The function declares the symbol `round`.
    - (C6) If `conditional`, the first carried value is a bool of rank 0 and nothing is
      stacked.

    Example:
    ```mlir
    %h = rt.full 1.0 : f32 -> !rt.tensor<2x5xf32>
    %last, %all = rt.loop "i0" to #rt.expr<s0> carry (%h) stacked [0] reversed [false] {
    ^bb0(%c: !rt.tensor<2x5xf32>):
      %n = rt.tanh %c : !rt.tensor<2x5xf32> -> !rt.tensor<2x5xf32>
      rt.next %n, %n : !rt.tensor<2x5xf32>, !rt.tensor<2x5xf32>
    } : (!rt.tensor<2x5xf32>) -> (!rt.tensor<2x5xf32>, !rt.tensor<[s0, 2, 5]xf32>)
    ```
  }];
  let arguments = (ins StrAttr:$round, Rt_ExprAttr:$trips, Variadic<Rt_Tensor>:$inits,
                       DenseI64ArrayAttr:$stacked, DenseBoolArrayAttr:$reversed,
                       UnitAttr:$conditional, Optional<Rt_BoolTensor>:$condition);
  let results = (outs Variadic<Rt_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $round `to` $trips (`conditional` $conditional^)? (`while` $condition^)?
    (`carry` `(` $inits^ `)`)? `stacked` $stacked `reversed` $reversed
    attr-dict-with-keyword $body `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block &getBlock() { return getBody().front(); }
    NextOp getNext();
    /// The round's number as an expression.
    ::rtorch::layout::Expr getRoundExpr();
    /// Where in the stacked dim round `round` puts result number `index` of the
    /// stacked ones.
    ::rtorch::layout::Expr getStackIndex(size_t index);
  }];
}

def Rt_IfOp : Rt_Op<"if", [RecursiveMemoryEffects]> {
  let summary = "one of two branches";
  let description = [{
    The results are what the `rt.next` of the first region gives if `condition` is true,
    else what that of the second gives. In a schedule, branches have no results: their
    launches write to `rt.buffer`s.

    - (C1) `condition` has rank 0.
    - (C2) Both regions are one block that ends with an `rt.next` of values with the
      sizes and dtypes of the results.

    Example:
    ```mlir
    %c = rt.full true -> !rt.tensor<i1>
    %a = rt.full 1.0 : f32 -> !rt.tensor<4xf32>
    %y = rt.if %c {
      %b = rt.tanh %a : !rt.tensor<4xf32> -> !rt.tensor<4xf32>
      rt.next %b : !rt.tensor<4xf32>
    } else {
      rt.next %a : !rt.tensor<4xf32>
    } : (!rt.tensor<i1>) -> !rt.tensor<4xf32>
    ```
  }];
  let arguments = (ins Rt_BoolTensor:$condition);
  let results = (outs Variadic<Rt_Tensor>:$results);
  let regions = (region SizedRegion<1>:$then, SizedRegion<1>:$otherwise);
  let assemblyFormat = [{
    $condition attr-dict-with-keyword $then `else` $otherwise
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Rt_NextOp : Rt_Op<"next", [Terminator, Pure, ParentOneOf<["LoopOp", "IfOp"]>]> {
  let summary = "what a round of a loop, or a branch, gives";
  let description = [{
    - (C1) It ends the body of an `rt.loop` or a branch of an `rt.if`.

    Example:
    ```mlir
    rt.next %n, %n : !rt.tensor<2x5xf32>, !rt.tensor<2x5xf32>
    ```
  }];
  let arguments = (ins Variadic<Rt_Tensor>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

def Rt_BufferOp : Rt_Op<"buffer", [MemoryEffects<[MemAlloc]>]> {
  let summary = "memory that launches of loops and branches write to";
  let description = [{
    Its elements are undefined until a launch writes them. After memory planning, `slot`
    is its place in bytes into the arena; a buffer without one is memory of a result.

    - (C1) The tensor has no offset.

    Example:
    ```mlir
    %b = rt.buffer : !rt.tensor<2x8xf32>
    ```
  }];
  let arguments = (ins OptionalAttr<Rt_ExprAttr>:$slot);
  let results = (outs Rt_Tensor:$result);
  let assemblyFormat = "(`slot` $slot^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

#endif // RTORCH_DIALECTS_RT_LOOPOPS_TD
