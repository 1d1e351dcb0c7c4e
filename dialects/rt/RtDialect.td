//===- RtDialect.td - the rt dialect, its types and attributes -------------===//
#ifndef RTORCH_DIALECTS_RT_RTDIALECT_TD
#define RTORCH_DIALECTS_RT_RTDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "mlir/IR/OpBase.td"

def Rt_Dialect : Dialect {
  let name = "rt";
  let cppNamespace = "::rtorch::rt";
  let summary = "PyTorch graphs with layouts in the types";
  let description = [{
    Tensors carry dtype, sizes, strides and storage offset, each of which may be a
    symbolic integer expression. The dialect has two forms.

    In the *imported form* values are views of storages: view operations alias their
    source, `rt.write` mutates a storage, and strides are those of eager PyTorch.
    Only layout verification and functionalization run on it.

    In the *value form* tensors are immutable and operations pure. Strides are
    physical. Write-backs to arguments and buffers are the last operations before
    `rt.return`.

    Symbols are declared on the enclosing function by the attribute `rt.symbols`,
    an array of `#rt.symbol`.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let extraClassDeclaration = "void registerTypes();";
}

class Rt_Attr<string name, string attrMnemonic> : AttrDef<Rt_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Rt_ExprAttr : Rt_Attr<"Expr", "expr"> {
  let summary = "integer expression over symbols";
  let description = [{
    A canonical sum of products of symbols and of floordiv, mod, min and max.

    Example: `#rt.expr<384*s0*s1 + 2>`
  }];
  let parameters = (ins "::rtorch::layout::Expr":$value);
  let hasCustomAssemblyFormat = 1;
}

def Rt_SymbolAttr : Rt_Attr<"Symbol", "symbol"> {
  let summary = "declaration of a symbol with its range";
  let description = [{
    `hint` is the symbol's value in the example that the program was exported with.

    Example: `#rt.symbol<"s0", 1, 64, 3>`
  }];
  let parameters = (ins
    StringRefParameter<"name">:$name, "int64_t":$min, "int64_t":$max, "int64_t":$hint);
  let assemblyFormat = "`<` $name `,` $min `,` $max `,` $hint `>`";
}

def Rt_GuardAttr : Rt_Attr<"Guard", "guard"> {
  let summary = "relation between sizes that is checked when the module is called";
  let description = [{
    `relation` is one of `eq`, `ne`, `lt`, `le`.

    Example: `#rt.guard<"eq", #rt.expr<s0>, #rt.expr<2*s1>, "view of [s0]", "m.py:3">`
  }];
  let parameters = (ins
    StringRefParameter<"relation">:$relation, "ExprAttr":$lhs, "ExprAttr":$rhs,
    StringRefParameter<"what needs it">:$reason,
    StringRefParameter<"user's source line">:$source);
  let assemblyFormat =
    "`<` $relation `,` $lhs `,` $rhs `,` $reason `,` $source `>`";
}

def Rt_TensorType : TypeDef<Rt_Dialect, "Tensor"> {
  let mnemonic = "tensor";
  let summary = "tensor with dtype, sizes, strides and storage offset";
  let description = [{
    Sizes are written `4x8` when all are numbers and `[s0, 8]` otherwise. The layout
    is left out where it is row-major without offset. Strides and offset count
    elements.

    Examples:
    ```mlir
    !rt.tensor<4x8xf32>
    !rt.tensor<[s0, 384]xf32>
    !rt.tensor<4x8xf32, strided<[1, 4], offset: 2>>
    ```
  }];
  let parameters = (ins
    ArrayRefParameter<"ExprAttr">:$sizeAttrs,
    ArrayRefParameter<"ExprAttr">:$strideAttrs,
    "ExprAttr":$offsetAttr,
    "::mlir::Type":$elementType);
  let builders = [
    TypeBuilder<(ins "const ::rtorch::layout::Layout &":$layout, "::mlir::Type":$elementType)>,
    TypeBuilder<(ins "const ::rtorch::layout::Dims &":$sizes, "::mlir::Type":$elementType)>
  ];
  let extraClassDeclaration = [{
    ::rtorch::layout::Layout getLayout() const;
    ::rtorch::layout::Dims getSizes() const;
    ::rtorch::layout::Dims getStrides() const;
    ::rtorch::layout::Expr getOffset() const { return getOffsetAttr().getValue(); }
    ::rtorch::layout::Expr getSize(int64_t dim) const {
      return getSizeAttrs()[dim].getValue();
    }
    int64_t getRank() const { return getSizeAttrs().size(); }
    /// Strides are row-major and the offset is 0.
    bool isRowMajor() const;
    /// The same sizes and dtype, row-major without offset.
    TensorType withRowMajorLayout() const;
    TensorType withElementType(::mlir::Type type) const;
    /// Bytes of one element in memory; bool takes one.
    int64_t getElementBytes() const;
  }];
  let skipDefaultBuilders = 1;
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Rt_ExprArrayAttr : TypedArrayAttrBase<
    Attr<CPred<"::mlir::isa<::rtorch::rt::ExprAttr>($_self)">, "expression">, "array of expressions">;

class Rt_TensorOf<string cond, string what> : Type<
    CPred<"::mlir::isa<::rtorch::rt::TensorType>($_self) && "
          "[](::mlir::Type t) { return " # cond # "; }("
          "::mlir::cast<::rtorch::rt::TensorType>($_self).getElementType())">,
    what, "::rtorch::rt::TensorType">;

def Rt_FloatTensor : Rt_TensorOf<"t.isFloat()", "tensor of a floating-point dtype">;
def Rt_BoolTensor : Rt_TensorOf<"t.isInteger(1)", "tensor of bool">;
def Rt_IntTensor : Rt_TensorOf<"t.isIntOrIndex() && !t.isInteger(1)", "tensor of an integer dtype">;
def Rt_IndexTensor : Rt_TensorOf<"t.isSignlessInteger(32) || t.isSignlessInteger(64)", "tensor of int32 or int64">;
def Rt_IntOrBoolTensor : Rt_TensorOf<"t.isIntOrIndex()", "tensor of an integer dtype or bool">;
def Rt_Tensor : Type<CPred<"::mlir::isa<::rtorch::rt::TensorType>($_self)">, "tensor", "::rtorch::rt::TensorType">;

#endif // RTORCH_DIALECTS_RT_RTDIALECT_TD
