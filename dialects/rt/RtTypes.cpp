// Syntax and verification of the dialect's types and attributes.
#include "dialects/rt/Rt.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::layout::Layout;

#define GET_ATTRDEF_CLASSES
#include "dialects/rt/RtAttributes.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/rt/RtTypes.cpp.inc"

namespace rtorch::rt {

void RtDialect::registerTypes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/rt/RtAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/rt/RtTypes.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

static FailureOr<Expr> parseSum(AsmParser &parser);

static FailureOr<Expr> parseCall(AsmParser &parser, StringRef name) {
  if (failed(parser.parseLParen()))
    return failure();
  FailureOr<Expr> a = parseSum(parser);
  if (failed(a) || failed(parser.parseComma()))
    return failure();
  FailureOr<Expr> b = parseSum(parser);
  if (failed(b) || failed(parser.parseRParen()))
    return failure();
  if (name == "floordiv")
    return layout::floordiv(*a, *b);
  if (name == "mod")
    return layout::mod(*a, *b);
  return name == "min" ? layout::min(*a, *b) : layout::max(*a, *b);
}

static FailureOr<Expr> parseFactor(AsmParser &parser) {
  // Before the number: parsing one takes its sign, and insists on digits after it.
  if (succeeded(parser.parseOptionalMinus())) {
    FailureOr<Expr> operand = parseFactor(parser);
    return failed(operand) ? operand : FailureOr<Expr>(-*operand);
  }
  int64_t value;
  OptionalParseResult integer = parser.parseOptionalInteger(value);
  if (integer.has_value())
    return failed(*integer) ? FailureOr<Expr>(failure()) : Expr(value);
  if (succeeded(parser.parseOptionalLParen())) {
    FailureOr<Expr> sum = parseSum(parser);
    return failed(sum) || failed(parser.parseRParen()) ? FailureOr<Expr>(failure())
                                                       : sum;
  }
  StringRef name;
  if (failed(parser.parseKeyword(&name)))
    return failure();
  if (name == "floordiv" || name == "mod" || name == "min" || name == "max")
    return parseCall(parser, name);
  return Expr::symbol(name.str());
}

static FailureOr<Expr> parseProduct(AsmParser &parser) {
  FailureOr<Expr> product = parseFactor(parser);
  while (succeeded(product) && succeeded(parser.parseOptionalStar())) {
    FailureOr<Expr> factor = parseFactor(parser);
    if (failed(factor))
      return failure();
    product = *product * *factor;
  }
  return product;
}

static FailureOr<Expr> parseSum(AsmParser &parser) {
  FailureOr<Expr> sum = parseProduct(parser);
  while (succeeded(sum)) {
    bool plus = succeeded(parser.parseOptionalPlus());
    if (!plus && failed(parser.parseOptionalMinus()))
      return sum;
    FailureOr<Expr> term = parseProduct(parser);
    if (failed(term))
      return failure();
    sum = plus ? *sum + *term : *sum - *term;
  }
  return sum;
}

Attribute ExprAttr::parse(AsmParser &parser, Type) {
  if (failed(parser.parseLess()))
    return {};
  FailureOr<Expr> expr = parseSum(parser);
  if (failed(expr) || failed(parser.parseGreater()))
    return {};
  return get(parser.getContext(), *expr);
}

void ExprAttr::print(AsmPrinter &printer) const {
  printer << '<' << getValue().str() << '>';
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

using ExprAttrs = SmallVector<ExprAttr>;

static ExprAttrs toAttrs(MLIRContext *context, const Dims &dims) {
  ExprAttrs attrs;
  for (const Expr &dim : dims)
    attrs.push_back(ExprAttr::get(context, dim));
  return attrs;
}

static Dims toDims(ArrayRef<ExprAttr> attrs) {
  Dims dims;
  for (ExprAttr attr : attrs)
    dims.push_back(attr.getValue());
  return dims;
}

TensorType TensorType::get(MLIRContext *context, const Layout &layout,
                           Type elementType) {
  ExprAttrs sizes = toAttrs(context, layout.sizes);
  ExprAttrs strides = toAttrs(context, layout.strides);
  return Base::get(context, ArrayRef(sizes), ArrayRef(strides),
                   ExprAttr::get(context, layout.offset), elementType);
}

TensorType TensorType::get(MLIRContext *context, const Dims &sizes, Type elementType) {
  return get(context, Layout{sizes, layout::contiguousStrides(sizes), 0}, elementType);
}

Dims TensorType::getSizes() const { return toDims(getSizeAttrs()); }
Dims TensorType::getStrides() const { return toDims(getStrideAttrs()); }
Layout TensorType::getLayout() const { return {getSizes(), getStrides(), getOffset()}; }

bool TensorType::isRowMajor() const {
  return getOffset().isConstant(0) &&
         getStrides() == layout::contiguousStrides(getSizes());
}

TensorType TensorType::withRowMajorLayout() const {
  return get(getContext(), getSizes(), getElementType());
}

TensorType TensorType::withElementType(Type type) const {
  return get(getContext(), getLayout(), type);
}

int64_t TensorType::getElementBytes() const {
  return (getElementType().getIntOrFloatBitWidth() + 7) / 8;
}

LogicalResult TensorType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<ExprAttr> sizes, ArrayRef<ExprAttr> strides,
                                 ExprAttr, Type elementType) {
  if (sizes.size() != strides.size())
    return emitError() << "expects as many strides as sizes, but got " << strides.size()
                       << " strides for " << sizes.size() << " sizes";
  for (ExprAttr size : sizes)
    if (size.getValue().constant().value_or(0) < 0)
      return emitError() << "expects sizes of 0 or more, but got "
                         << size.getValue().str();
  if (!elementType.isIntOrFloat())
    return emitError() << "expects an integer, float or bool dtype, but got "
                       << elementType;
  return success();
}

/// The dims of `[a, b]`, without the brackets.
static FailureOr<Dims> parseExprList(AsmParser &parser) {
  Dims dims;
  ParseResult result = parser.parseCommaSeparatedList(
      AsmParser::Delimiter::Square, [&]() -> ParseResult {
        FailureOr<Expr> expr = parseSum(parser);
        if (failed(expr))
          return failure();
        dims.push_back(*expr);
        return success();
      });
  return failed(result) ? FailureOr<Dims>(failure()) : dims;
}

/// `4x8xf32` or `[s0, 8]xf32`: the dtype is part of the same word as the last x.
static FailureOr<std::pair<Dims, Type>> parseSizes(AsmParser &parser) {
  SMLoc loc = parser.getCurrentLocation();
  Dims sizes;
  Type type;
  if (failed(parser.parseOptionalLSquare())) {
    SmallVector<int64_t> numbers;
    if (failed(parser.parseDimensionList(numbers, /*allowDynamic=*/false)) ||
        failed(parser.parseType(type)))
      return failure();
    sizes.assign(numbers.begin(), numbers.end());
    return std::pair(sizes, type);
  }
  do {
    FailureOr<Expr> expr = parseSum(parser);
    if (failed(expr))
      return failure();
    sizes.push_back(*expr);
  } while (succeeded(parser.parseOptionalComma()));
  StringRef word;
  if (failed(parser.parseRSquare()) || failed(parser.parseKeyword(&word)))
    return failure();
  if (!word.consume_front("x"))
    return parser.emitError(loc, "expects 'x' and a dtype after the sizes"), failure();
  type =
      llvm::StringSwitch<Type>(word)
          .Case("f16", Float16Type::get(parser.getContext()))
          .Case("bf16", BFloat16Type::get(parser.getContext()))
          .Case("f32", Float32Type::get(parser.getContext()))
          .Case("f64", Float64Type::get(parser.getContext()))
          .Case("ui8", IntegerType::get(parser.getContext(), 8, IntegerType::Unsigned))
          .Default(Type());
  unsigned bits;
  if (!type && word.consume_front("i") && !word.getAsInteger(10, bits) && bits <= 64)
    type = IntegerType::get(parser.getContext(), bits);
  if (!type)
    return parser.emitError(loc, "expects a dtype after the sizes"), failure();
  return std::pair(sizes, type);
}

Type TensorType::parse(AsmParser &parser) {
  SMLoc loc = parser.getCurrentLocation();
  if (failed(parser.parseLess()))
    return {};
  auto sizesAndType = parseSizes(parser);
  if (failed(sizesAndType))
    return {};
  auto [sizes, type] = *sizesAndType;
  Layout result{sizes, layout::contiguousStrides(sizes), 0};
  if (succeeded(parser.parseOptionalComma())) {
    if (failed(parser.parseKeyword("strided")) || failed(parser.parseLess()))
      return {};
    FailureOr<Dims> strides = parseExprList(parser);
    if (failed(strides))
      return {};
    result.strides = *strides;
    if (succeeded(parser.parseOptionalComma())) {
      if (failed(parser.parseKeyword("offset")) || failed(parser.parseColon()))
        return {};
      FailureOr<Expr> offset = parseSum(parser);
      if (failed(offset))
        return {};
      result.offset = *offset;
    }
    if (failed(parser.parseGreater()))
      return {};
  }
  if (failed(parser.parseGreater()))
    return {};
  MLIRContext *context = parser.getContext();
  ExprAttrs sizeAttrs = toAttrs(context, result.sizes);
  ExprAttrs strideAttrs = toAttrs(context, result.strides);
  ExprAttr offset = ExprAttr::get(context, result.offset);
  auto emitError = [&] { return parser.emitError(loc); };
  if (failed(verify(emitError, sizeAttrs, strideAttrs, offset, type)))
    return {};
  return Base::get(context, ArrayRef(sizeAttrs), ArrayRef(strideAttrs), offset, type);
}

void TensorType::print(AsmPrinter &printer) const {
  Dims sizes = getSizes();
  bool numbers =
      llvm::all_of(sizes, [](const Expr &size) { return size.isConstant(); });
  printer << '<';
  if (numbers)
    for (const Expr &size : sizes)
      printer << size.str() << 'x';
  else
    printer << printDims(sizes) << 'x';
  printer << getElementType();
  if (!isRowMajor()) {
    printer << ", strided<" << printDims(getStrides());
    if (!getOffset().isConstant(0))
      printer << ", offset: " << getOffset().str();
    printer << '>';
  }
  printer << '>';
}

} // namespace rtorch::rt
