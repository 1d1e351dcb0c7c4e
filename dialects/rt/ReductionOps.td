//===- ReductionOps.td - ops that fold dims --------------------------------===//
#ifndef RTORCH_DIALECTS_RT_REDUCTIONOPS_TD
#define RTORCH_DIALECTS_RT_REDUCTIONOPS_TD

include "dialects/rt/RtOpBase.td"

/// One entry a reduction: neutral element and combination of partial results.
class Rt_ReductionOp<string mnemonic, Type type, string what, string initial, string combine>
    : Rt_ComputeOp<mnemonic, [DeclareOpInterfaceMethods<Rt_ReductionOpInterface,
                              ["emitInitial", "emitCombine"]>]> {
  let summary = what;
  let description = "\n    - (C1) `dims` are ascending dims of the operand.\n"
    "    - (C2) The result's sizes are the operand's without `dims`, or with 1 there if `keepdim`.\n"
    "    - (C3) Operand and result have the same dtype.\n\n    Example:\n    ```mlir\n"
    "    %y = rt." # mnemonic # " %x [1] keepdim false : !rt.tensor<4x6x" #
    !if(!eq(!cast<string>(type), "Rt_BoolTensor"), "i1", "f32") # "> -> !rt.tensor<4x" #
    !if(!eq(!cast<string>(type), "Rt_BoolTensor"), "i1", "f32") # ">\n    ```\n  ";
  let arguments = (ins type:$x, DenseI64ArrayAttr:$dims, BoolAttr:$keepdim);
  let results = (outs type:$result);
  let assemblyFormat = "$x $dims `keepdim` $keepdim attr-dict `:` type($x) `->` type($result)";
  let extraClassDefinition =
    "::mlir::Value $cppClass::emitInitial(::rtorch::rt::FormulaBuilder &f, ::mlir::Type type) { " # initial # " }\n" #
    "::mlir::Value $cppClass::emitCombine(::rtorch::rt::FormulaBuilder &f, ::mlir::Value a, ::mlir::Value b) { " # combine # " }\n" #
    "::llvm::LogicalResult $cppClass::verify() { return verifyReduction(*this, getDims(), getKeepdim()); }\n" #
    "::llvm::SmallVector<::rtorch::layout::Dims> $cppClass::eagerStrides(::rtorch::layout::Guards &) { return rowMajorEagerStrides(*this); }\n";
}

def Rt_SumOp : Rt_ReductionOp<"sum", Rt_Tensor, "sum over dims", "return f.constant(type, 0.0);", "return f.add(a, b);">;
def Rt_ProdOp : Rt_ReductionOp<"prod", Rt_Tensor, "product over dims", "return f.constant(type, 1.0);", "return f.mul(a, b);">;
def Rt_AmaxOp : Rt_ReductionOp<"amax", Rt_Tensor, "largest over dims; NaN if any is", "return f.lowest(type);", "return f.maximum(a, b);">;
def Rt_AminOp : Rt_ReductionOp<"amin", Rt_Tensor, "smallest over dims; NaN if any is", "return f.highest(type);", "return f.minimum(a, b);">;
def Rt_AnyOp : Rt_ReductionOp<"any", Rt_BoolTensor, "or over dims", "return f.constant(type, 0.0);", "return f.bitOr(a, b);">;
def Rt_AllOp : Rt_ReductionOp<"all", Rt_BoolTensor, "and over dims", "return f.constant(type, 1.0);", "return f.bitAnd(a, b);">;

class Rt_RowOp<string mnemonic, list<Trait> traits = []> : Rt_ComputeOp<mnemonic, traits> {
  let results = (outs Rt_FloatTensor:$result);
}

def Rt_SoftmaxOp : Rt_RowOp<"softmax"> {
  let summary = "exponentials that sum to 1 along a dim";
  let description = [{
    `exp(x - max) / sum(exp(x - max))` along `dim`. A row of -inf, or with +inf, is NaN.

    - (C1) `x` and `result` have equal sizes and dtype.
    - (C2) `dim` is a dim of `x`.

    Example:
    ```mlir
    %y = rt.softmax %x 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$x, I64Attr:$dim);
  let assemblyFormat = "$x $dim attr-dict `:` type($x) `->` type($result)";
}

def Rt_LogSoftmaxOp : Rt_RowOp<"log_softmax"> {
  let summary = "logarithm of the softmax along a dim";
  let description = [{
    `x - max - log(sum(exp(x - max)))` along `dim`.

    - (C1) `x` and `result` have equal sizes and dtype.
    - (C2) `dim` is a dim of `x`.

    Example:
    ```mlir
    %y = rt.log_softmax %x 1 : !rt.tensor<4x6xf32> -> !rt.tensor<4x6xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$x, I64Attr:$dim);
  let assemblyFormat = "$x $dim attr-dict `:` type($x) `->` type($result)";
}

def Rt_LayerNormOp : Rt_RowOp<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "normalize the last dims to mean 0 and variance 1";
  let description = [{
    `(x - mean) / sqrt(var + eps) * weight + bias`, with mean and biased variance over
    the last `normalized_dims` dims.

    - (C1) `x` and `result` have equal sizes and dtype.
    - (C2) `normalized_dims` is at least 1 and at most the rank of `x`.
    - (C3) `weight` and `bias` have the sizes of the last `normalized_dims` dims and the
      dtype of `x`.

    Example:
    ```mlir
    %y = rt.layer_norm %x dims 1 eps 1.0e-5 weight %w bias %b
       : (!rt.tensor<4x6xf32>, !rt.tensor<6xf32>, !rt.tensor<6xf32>) -> !rt.tensor<4x6xf32>
    ```
  }];
  let arguments = (ins Rt_FloatTensor:$x, Optional<Rt_FloatTensor>:$weight,
                       Optional<Rt_FloatTensor>:$bias, I64Attr:$normalized_dims, F64Attr:$eps);
  let assemblyFormat = [{
    $x `dims` $normalized_dims `eps` $eps (`weight` $weight^)? (`bias` $bias^)? attr-dict
    `:` functional-type(operands, results)
  }];
}

#endif // RTORCH_DIALECTS_RT_REDUCTIONOPS_TD
