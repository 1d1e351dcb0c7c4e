//===- RtInterfaces.td - what passes know of an op without knowing the op --===//
#ifndef RTORCH_DIALECTS_RT_RTINTERFACES_TD
#define RTORCH_DIALECTS_RT_RTINTERFACES_TD

include "mlir/IR/OpBase.td"

def Rt_ViewOpInterface : OpInterface<"ViewOpInterface"> {
  let cppNamespace = "::rtorch::rt";
  let description = [{
    An op whose result aliases its first operand. It is pure geometry: in the value
    form it costs nothing at run time.
  }];
  let methods = [
    InterfaceMethod<"The tensor whose storage the result shares.",
      "::mlir::Value", "getViewSource", (ins), [{}],
      [{ return $_op->getOperand(0); }]>,
    InterfaceMethod<[{
        The result's layout for a source layout, or nullopt where the view does not
        exist without a copy. Open questions are decided by `guards`.
      }],
      "std::optional<::rtorch::layout::Layout>", "viewLayout",
      (ins "const ::rtorch::layout::Layout &":$source,
           "::rtorch::layout::Guards &":$guards)>,
  ];
}

def Rt_LayoutOpInterface : OpInterface<"LayoutOpInterface"> {
  let cppNamespace = "::rtorch::rt";
  let description = [{
    An op that makes a new tensor, and knows which strides eager PyTorch gives it.
  }];
  let methods = [
    InterfaceMethod<[{
        Strides of each result in eager PyTorch, from the operands' layouts and the
        results' sizes. Open questions are decided by `guards`.
      }],
      "::llvm::SmallVector<::rtorch::layout::Dims>", "eagerStrides",
      (ins "::rtorch::layout::Guards &":$guards)>,
  ];
}

def Rt_PointwiseOpInterface : OpInterface<"PointwiseOpInterface"> {
  let cppNamespace = "::rtorch::rt";
  let description = [{
    An op whose result at an index is a formula of its operands at that index, after
    broadcasting.
  }];
  let methods = [
    InterfaceMethod<[{
        Emits the formula for `x`, scalars or vectors of the operands' element types
        (bool as i1); gives a scalar or vector of the result's element type.
      }],
      "::mlir::Value", "emitFormula",
      (ins "::rtorch::rt::FormulaBuilder &":$f, "::mlir::ValueRange":$x)>,
  ];
}

def Rt_ReductionOpInterface : OpInterface<"ReductionOpInterface"> {
  let cppNamespace = "::rtorch::rt";
  let description = [{
    An op that folds dims of its operand with an associative, commutative formula.
  }];
  let methods = [
    InterfaceMethod<"Reduced dims of the operand, ascending.",
      "::llvm::ArrayRef<int64_t>", "getReducedDims", (ins), [{}],
      [{ return $_op.getDims(); }]>,
    InterfaceMethod<"Whether reduced dims stay as dims of size 1.",
      "bool", "keepsReducedDims", (ins), [{}], [{ return $_op.getKeepdim(); }]>,
    InterfaceMethod<"The neutral element, of `type` (a scalar or vector).",
      "::mlir::Value", "emitInitial",
      (ins "::rtorch::rt::FormulaBuilder &":$f, "::mlir::Type":$type)>,
    InterfaceMethod<"Combines two partial results.",
      "::mlir::Value", "emitCombine",
      (ins "::rtorch::rt::FormulaBuilder &":$f, "::mlir::Value":$a, "::mlir::Value":$b)>,
  ];
}

#endif // RTORCH_DIALECTS_RT_RTINTERFACES_TD
