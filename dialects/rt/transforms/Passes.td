//===- Passes.td - passes inside the rt dialect ----------------------------===//
#ifndef RTORCH_DIALECTS_RT_TRANSFORMS_PASSES_TD
#define RTORCH_DIALECTS_RT_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerifyLayouts : Pass<"rt-verify-layouts", "::mlir::func::FuncOp"> {
  let summary = "check layouts, aliasing and writes of a function";
  let description = [{
    Computes the layout of every view again, with what the function's symbols and
    guards say. A relation that only the example values decide becomes a guard of the
    function. Writes must not hit an element twice.

    `form=imported` also asks for eager PyTorch's strides on dims that may be larger
    than 1. `form=value` also asks that every `rt.write` stands at the end, after all
    reads of the storage, and that its target is an argument, a parameter or a view of
    one.
  }];
  let options = [
    Option<"form", "form", "::rtorch::rt::GraphForm",
      /*default=*/"::rtorch::rt::GraphForm::Imported", "which form to check",
      [{::llvm::cl::values(
          clEnumValN(::rtorch::rt::GraphForm::Imported, "imported", "views and storages"),
          clEnumValN(::rtorch::rt::GraphForm::Value, "value", "immutable values"))}]>,
  ];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def Functionalize : Pass<"rt-functionalize", "::mlir::func::FuncOp"> {
  let summary = "imported form to value form";
  let description = [{
    Each `rt.write` makes a new version of the storage that it writes to, and later
    uses of the storage's aliases see that version. Arguments and parameters that were
    written get one `rt.write` of their last version at the end. A result that aliases
    one of them stays a view of it; it is read after the writes.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def Simplify : Pass<"rt-simplify", "::mlir::func::FuncOp"> {
  let summary = "drop views, copies and arithmetic that change nothing";
  let description = [{
    Works on the value form. Rewrites are exact: signed zeros, NaN, and the aliasing and
    the strides of results stay.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

def Cse : Pass<"rt-cse", "::mlir::func::FuncOp"> {
  let summary = "compute equal ops once, but keep results apart";
  let description = [{
    Common subexpression elimination that does not make two results of the program one
    tensor: an op whose result is returned under a storage of its own stays.
  }];
}

def Raise : Pass<"rt-raise", "::mlir::func::FuncOp"> {
  let summary = "decomposed ops back to whole ones";
  let description = [{
    Products with a matrix of weights become `rt.linear`, without the reshapes around
    them; products, softmax and product become `rt.attention`; `x * sigmoid(x)` becomes
    `rt.silu`. Sums of many small products, as the gradients of a recurrent layer's
    weights are, become one product.
  }];
  let dependentDialects = ["::rtorch::rt::RtDialect"];
}

#endif // RTORCH_DIALECTS_RT_TRANSFORMS_PASSES_TD
