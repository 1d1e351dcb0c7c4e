// Floats over sizes.
#include "compiler/import/SympyExpr.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>

namespace rtorch::importer {
namespace {

using archive::makeError;
using archive::Result;
using Kind = RealExpr::Kind;

struct Function {
  Kind kind;
  size_t least, most; // operands
};

const Function *findFunction(const std::string &name) {
  constexpr size_t kMany = 1024;
  static const std::map<std::string, Function> functions{
      {"Add", {Kind::Add, 1, kMany}},
      {"Mul", {Kind::Mul, 1, kMany}},
      {"Min", {Kind::Min, 1, kMany}},
      {"Max", {Kind::Max, 1, kMany}},
      {"IntTrueDiv", {Kind::Div, 2, 2}},
      {"FloatTrueDiv", {Kind::Div, 2, 2}},
      {"FloatPow", {Kind::Pow, 2, 2}},
      {"OpaqueUnaryFn_sqrt", {Kind::Sqrt, 1, 1}},
      {"OpaqueUnaryFn_exp", {Kind::Exp, 1, 1}},
      {"OpaqueUnaryFn_log", {Kind::Log, 1, 1}},
      {"OpaqueUnaryFn_log2", {Kind::Log2, 1, 1}},
      {"OpaqueUnaryFn_sin", {Kind::Sin, 1, 1}},
      {"OpaqueUnaryFn_cos", {Kind::Cos, 1, 1}},
      {"OpaqueUnaryFn_tanh", {Kind::Tanh, 1, 1}},
  };
  auto found = functions.find(name);
  return found == functions.end() ? nullptr : &found->second;
}

Result<RealExpr> number(const Sympy &sympy) {
  const std::string &text = sympy.arguments[0].text;
  RealExpr result;
  char *end = nullptr;
  result.value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end)
    return makeError("'" + text + "' is not a number");
  return result;
}

/// top / bottom, exactly; bottom > 0.
struct Fraction {
  layout::Expr top;
  int64_t bottom = 1;
};

/// A number with few binary places.
std::optional<Fraction> exactly(double value) {
  constexpr int64_t kLargest = int64_t(1) << 31;
  for (int64_t bottom = 1; bottom <= kLargest; bottom *= 2) {
    double top = value * static_cast<double>(bottom);
    if (!(std::abs(top) <= static_cast<double>(kLargest)))
      return std::nullopt;
    if (top == std::floor(top))
      return Fraction{static_cast<int64_t>(top), bottom};
  }
  return std::nullopt;
}

std::optional<Fraction> quotient(const Fraction &a, const Fraction &b) {
  std::optional<int64_t> divisor = b.top.constant();
  if (!divisor || *divisor == 0)
    return std::nullopt;
  int64_t sign = *divisor < 0 ? -1 : 1;
  return Fraction{a.top * (sign * b.bottom), a.bottom * sign * *divisor};
}

/// Sums, products and quotients by numbers; nullopt for the rest, and for what floats
/// may have rounded.
std::optional<Fraction> fractionOf(const RealExpr &expr) {
  constexpr int64_t kLargest = int64_t(1) << 31;
  if (expr.kind == Kind::Constant)
    return exactly(expr.value);
  if (expr.kind == Kind::Integer)
    return Fraction{expr.integer};
  if (expr.kind != Kind::Add && expr.kind != Kind::Mul && expr.kind != Kind::Div)
    return std::nullopt;
  std::optional<Fraction> result;
  for (const RealExpr &operand : expr.operands) {
    std::optional<Fraction> x = fractionOf(operand);
    if (!x)
      return std::nullopt;
    if (!result)
      result = x;
    else if (expr.kind == Kind::Add)
      result = Fraction{result->top * x->bottom + x->top * result->bottom,
                        result->bottom * x->bottom};
    else if (expr.kind == Kind::Mul)
      result = Fraction{result->top * x->top, result->bottom * x->bottom};
    else
      result = quotient(*result, *x);
    if (!result || result->bottom > kLargest)
      return std::nullopt;
    // A quotient by other than a power of two is rounded; its floor may be, too.
    if (result->bottom & (result->bottom - 1))
      return std::nullopt;
  }
  return result;
}

/// Whether no coefficient is negative, and no symbol.
bool isNotNegative(const layout::Expr &expr, const Sympy &sympy) {
  std::set<std::string> all, positive;
  collectSymbols(sympy, all, positive);
  for (const layout::Term &term : expr.terms())
    if (term.coefficient < 0)
      return false;
  return all == positive;
}

} // namespace

Result<layout::Expr> toRoundedExpr(const Sympy &sympy) {
  auto refuse = [&] {
    return makeError("'" + sympy.text + "' of a float that may be rounded is not " +
                     "supported in an integer expression over sizes");
  };
  if (sympy.arguments.size() != 1)
    return refuse();
  Result<RealExpr> real = toRealExpr(sympy.arguments[0]);
  if (!real)
    return real.error();
  std::optional<Fraction> x = fractionOf(*real);
  if (!x || (sympy.text == "TruncToInt" && !isNotNegative(x->top, sympy)))
    return refuse();
  return sympy.text == "CeilToInt" ? layout::ceildiv(x->top, x->bottom)
                                   : layout::floordiv(x->top, x->bottom);
}

Result<RealExpr> toRealExpr(const Sympy &sympy) {
  bool isCall = sympy.kind == Sympy::Kind::Call && !sympy.arguments.empty();
  if (isCall && sympy.text == "Float")
    return number(sympy);
  if (isCall && (sympy.text == "ToFloat" || sympy.text == "Identity") &&
      sympy.arguments.size() == 1)
    return toRealExpr(sympy.arguments[0]);
  RealExpr result;
  if (Result<layout::Expr> integer = toIntExpr(sympy)) {
    result.kind = Kind::Integer;
    result.integer = *integer;
    return result;
  }
  const Function *function = isCall ? findFunction(sympy.text) : nullptr;
  if (!function)
    return makeError("'" + sympy.text + "' is not supported in a float over sizes");
  if (sympy.arguments.size() < function->least ||
      sympy.arguments.size() > function->most)
    return makeError("'" + sympy.text + "' has " +
                     std::to_string(sympy.arguments.size()) + " operands; expected " +
                     std::to_string(function->least));
  result.kind = function->kind;
  for (const Sympy &argument : sympy.arguments) {
    Result<RealExpr> operand = toRealExpr(argument);
    if (!operand)
      return operand;
    result.operands.push_back(std::move(*operand));
  }
  return result;
}

} // namespace rtorch::importer
