#include "compiler/import/SympyExpr.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <functional>

namespace rtorch::importer {
namespace {

using archive::Error;
using archive::makeError;
using archive::Result;
using layout::Expr;

constexpr unsigned kMaxDepth = 200;
/// Canonical expressions are expanded products; these bounds keep a short text such as
/// Pow(Pow(Add(...), 8), 8) from expanding into one of any size.
constexpr size_t kMaxTerms = 1024;
constexpr uint64_t kMaxDegree = 64;

bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool isDigit(char c) { return c >= '0' && c <= '9'; }

class SympyParser {
public:
  explicit SympyParser(std::string_view text) : text_(text) {}

  Result<Sympy> parse() {
    Sympy result;
    bool complete = expression(result, 0) && (skipSpace(), at_ == text_.size());
    if (tooDeep_)
      return makeError("calls nest more than " + std::to_string(kMaxDepth) + " deep");
    if (!complete)
      return makeError("not a sympy expression at its character " +
                       std::to_string(at_) + ": '" + std::string(text_.substr(0, 120)) +
                       "'");
    return result;
  }

private:
  void skipSpace() {
    while (at_ < text_.size() && text_[at_] == ' ')
      ++at_;
  }
  bool accept(char c) {
    skipSpace();
    if (at_ == text_.size() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }
  std::string_view name() {
    size_t begin = at_;
    while (at_ < text_.size() && (isNameStart(text_[at_]) || isDigit(text_[at_])))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  bool string(Sympy &result) {
    size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos)
      return false;
    result.kind = Sympy::Kind::String;
    result.text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }
  bool integer(Sympy &result) {
    size_t begin = at_;
    at_ += text_[at_] == '-';
    size_t digits = at_;
    while (at_ < text_.size() && isDigit(text_[at_]))
      ++at_;
    result.kind = Sympy::Kind::Integer;
    result.text = text_.substr(begin, at_ - begin);
    return at_ != digits;
  }
  bool expression(Sympy &result, unsigned depth) {
    tooDeep_ |= depth > kMaxDepth;
    skipSpace();
    if (tooDeep_ || at_ == text_.size())
      return false;
    char c = text_[at_];
    if (c == '\'' || c == '"')
      return string(result);
    if (c == '-' || isDigit(c))
      return integer(result);
    if (!isNameStart(c))
      return false;
    result.kind = Sympy::Kind::Name;
    result.text = name();
    if (!accept('('))
      return true;
    result.kind = Sympy::Kind::Call;
    return arguments(result, depth);
  }
  /// Behind the opening parenthesis.
  bool arguments(Sympy &call, unsigned depth) {
    if (accept(')'))
      return true;
    do {
      Sympy argument;
      if (!expression(argument, depth + 1))
        return false;
      if (argument.kind == Sympy::Kind::Name && accept('=')) {
        Sympy value;
        if (!expression(value, depth + 1))
          return false;
        call.keywords.emplace_back(argument.text, value.text);
      } else {
        call.arguments.push_back(std::move(argument));
      }
    } while (accept(','));
    return accept(')');
  }

  std::string_view text_;
  size_t at_ = 0;
  bool tooDeep_ = false;
};

Error unsupported(const Sympy &sympy) {
  return makeError("'" + sympy.text +
                   "' is not supported in an integer expression over sizes");
}
Error wrongCount(const Sympy &sympy, size_t expected) {
  return makeError("'" + sympy.text + "' has " +
                   std::to_string(sympy.arguments.size()) + " operands; expected " +
                   std::to_string(expected));
}

Result<int64_t> toInt64(std::string_view digits) {
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size())
    return makeError("integer " + std::string(digits.substr(0, 40)) +
                     " does not fit in int64");
  return value;
}

bool isIdentifier(std::string_view text) {
  return !text.empty() && isNameStart(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return isNameStart(c) || isDigit(c); });
}

uint64_t degree(const Expr &expr) {
  uint64_t largest = 0;
  for (const layout::Term &term : expr.terms()) {
    uint64_t sum = 0;
    for (const auto &[atom, power] : term.factors)
      sum += power;
    largest = std::max(largest, sum);
  }
  return largest;
}

Error tooLarge() { return makeError("the expression is too large when expanded"); }

/// A product or sum within the bounds.
Result<Expr> multiply(const Expr &a, const Expr &b) {
  if (a.terms().size() * b.terms().size() > kMaxTerms ||
      degree(a) + degree(b) > kMaxDegree)
    return tooLarge();
  return a * b;
}
Result<Expr> add(const Expr &a, const Expr &b) {
  if (a.terms().size() + b.terms().size() > kMaxTerms)
    return tooLarge();
  return a + b;
}

Result<Expr> power(const Sympy &sympy, const Expr &base, const Expr &exponent) {
  std::optional<int64_t> count = exponent.constant();
  if (!count || *count < 0 || *count > static_cast<int64_t>(kMaxDegree))
    return makeError("'" + sympy.text + "' with the exponent '" + exponent.str() +
                     "' is not supported; expected a number from 0 to " +
                     std::to_string(kMaxDegree));
  Expr result(1);
  for (int64_t i = 0; i < *count; ++i) {
    Result<Expr> next = multiply(result, base);
    if (!next)
      return next;
    result = *next;
  }
  return result;
}

Result<Expr> divide(const Sympy &sympy, const Expr &a, const Expr &b) {
  if (b.isConstant(0))
    return makeError("'" + sympy.text + "' divides by zero");
  if (sympy.text == "Mod" || sympy.text == "PythonMod")
    return layout::mod(a, b);
  return sympy.text == "CeilDiv" ? layout::ceildiv(a, b) : layout::floordiv(a, b);
}

using Operands = std::vector<Expr>;

Result<Expr> fold(const Operands &operands,
                  const std::function<Result<Expr>(const Expr &, const Expr &)> &join) {
  Expr result = operands[0];
  for (size_t i = 1; i < operands.size(); ++i) {
    Result<Expr> next = join(result, operands[i]);
    if (!next)
      return next;
    result = *next;
  }
  return result;
}

Result<Expr> applyNary(const Sympy &sympy, const Operands &operands) {
  if (operands.empty())
    return wrongCount(sympy, 1);
  if (sympy.text == "Add")
    return fold(operands, add);
  if (sympy.text == "Mul")
    return fold(operands, multiply);
  if (sympy.text == "Max")
    return fold(operands, [](const Expr &a, const Expr &b) -> Result<Expr> {
      return layout::max(a, b);
    });
  return fold(operands, [](const Expr &a, const Expr &b) -> Result<Expr> {
    return layout::min(a, b);
  });
}

Result<Expr> applyBinary(const Sympy &sympy, const Operands &operands) {
  if (operands.size() != 2)
    return wrongCount(sympy, 2);
  if (sympy.text == "Pow" || sympy.text == "PowByNatural")
    return power(sympy, operands[0], operands[1]);
  if (sympy.text != "LShift" && sympy.text != "RShift")
    return divide(sympy, operands[0], operands[1]);
  std::optional<int64_t> bits = operands[1].constant();
  if (!bits || *bits < 0 || *bits > 62)
    return makeError("'" + sympy.text + "' by '" + operands[1].str() +
                     "' is not supported");
  Expr factor(int64_t(1) << *bits);
  return sympy.text == "LShift" ? multiply(operands[0], factor)
                                : Result<Expr>(layout::floordiv(operands[0], factor));
}

bool isOneOf(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

Result<Expr> applyCall(const Sympy &sympy) {
  if (isOneOf(sympy.text, {"FloorToInt", "CeilToInt", "TruncToInt"}))
    return toRoundedExpr(sympy);
  bool nary = isOneOf(sympy.text, {"Add", "Mul", "Max", "Min"});
  bool binary =
      isOneOf(sympy.text, {"Pow", "PowByNatural", "FloorDiv", "CleanDiv", "CeilDiv",
                           "Mod", "PythonMod", "LShift", "RShift"});
  if (!nary && !binary && sympy.text != "Identity" && sympy.text != "ModularIndexing")
    return unsupported(sympy);
  Operands operands;
  for (const Sympy &argument : sympy.arguments) {
    Result<Expr> operand = toIntExpr(argument);
    if (!operand)
      return operand;
    operands.push_back(std::move(*operand));
  }
  if (nary)
    return applyNary(sympy, operands);
  if (binary)
    return applyBinary(sympy, operands);
  if (sympy.text == "Identity")
    return operands.size() == 1 ? Result<Expr>(operands[0]) : wrongCount(sympy, 1);
  if (operands.size() != 3)
    return wrongCount(sympy, 3);
  if (operands[1].isConstant(0) || operands[2].isConstant(0))
    return makeError("'ModularIndexing' divides by zero");
  return layout::mod(layout::floordiv(operands[0], operands[1]), operands[2]);
}

Result<BoolExpr> toComparison(const Sympy &sympy) {
  if (sympy.arguments.size() != 2)
    return wrongCount(sympy, 2);
  Result<Expr> lhs = toIntExpr(sympy.arguments[0]);
  Result<Expr> rhs = toIntExpr(sympy.arguments[1]);
  if (!lhs)
    return lhs.error();
  if (!rhs)
    return rhs.error();
  BoolExpr result;
  bool swapped = isOneOf(sympy.text, {"GreaterThan", "StrictGreaterThan"});
  result.lhs = swapped ? *rhs : *lhs;
  result.rhs = swapped ? *lhs : *rhs;
  result.kind = sympy.text == "Equality"                           ? BoolExpr::Kind::Eq
                : sympy.text == "Unequality"                       ? BoolExpr::Kind::Ne
                : isOneOf(sympy.text, {"LessThan", "GreaterThan"}) ? BoolExpr::Kind::Le
                                                                   : BoolExpr::Kind::Lt;
  return result;
}

std::string_view comparisonSign(BoolExpr::Kind kind) {
  switch (kind) {
  case BoolExpr::Kind::Eq:
    return " == ";
  case BoolExpr::Kind::Ne:
    return " != ";
  case BoolExpr::Kind::Lt:
    return " < ";
  default:
    return " <= ";
  }
}

} // namespace

Result<Sympy> parseSympy(std::string_view text) { return SympyParser(text).parse(); }

Result<Expr> toIntExpr(const Sympy &sympy) {
  if (sympy.kind != Sympy::Kind::Call)
    return unsupported(sympy);
  bool leaf = sympy.text == "Integer" || sympy.text == "Symbol";
  if (!leaf) {
    Result<Expr> expr = applyCall(sympy);
    if (expr && expr->overflowed())
      return makeError("the expression leaves the range of int64");
    return expr;
  }
  if (sympy.arguments.size() != 1)
    return wrongCount(sympy, 1);
  const Sympy &argument = sympy.arguments[0];
  if (sympy.text == "Symbol") {
    if (argument.kind != Sympy::Kind::String || !isIdentifier(argument.text))
      return makeError("'" + argument.text + "' is not a symbol's name");
    return Expr::symbol(argument.text);
  }
  if (argument.kind != Sympy::Kind::Integer)
    return makeError("'" + argument.text + "' is not an integer");
  Result<int64_t> value = toInt64(argument.text);
  return value ? Result<Expr>(Expr(*value)) : Result<Expr>(value.error());
}

Result<BoolExpr> toBoolExpr(const Sympy &sympy) {
  BoolExpr result;
  if (isOneOf(sympy.text, {"true", "True", "false", "False"}) &&
      sympy.kind == Sympy::Kind::Name) {
    result.value = sympy.text[0] == 't' || sympy.text[0] == 'T';
    return result;
  }
  if (isOneOf(sympy.text, {"Equality", "Unequality", "LessThan", "StrictLessThan",
                           "GreaterThan", "StrictGreaterThan"}))
    return toComparison(sympy);
  if (!isOneOf(sympy.text, {"And", "Or", "Not"}))
    return makeError("'" + sympy.text + "' is not supported in a condition over sizes");
  result.kind = sympy.text == "And"  ? BoolExpr::Kind::And
                : sympy.text == "Or" ? BoolExpr::Kind::Or
                                     : BoolExpr::Kind::Not;
  if (result.kind == BoolExpr::Kind::Not && sympy.arguments.size() != 1)
    return wrongCount(sympy, 1);
  for (const Sympy &argument : sympy.arguments) {
    Result<BoolExpr> operand = toBoolExpr(argument);
    if (!operand)
      return operand;
    result.operands.push_back(std::move(*operand));
  }
  return result;
}

void collectSymbols(const Sympy &sympy, std::set<std::string> &all,
                    std::set<std::string> &positive) {
  bool isSymbol = sympy.kind == Sympy::Kind::Call && sympy.text == "Symbol" &&
                  sympy.arguments.size() == 1;
  if (isSymbol) {
    const std::string &name = sympy.arguments[0].text;
    all.insert(name);
    for (const auto &[key, value] : sympy.keywords)
      if (key == "positive" && value == "True")
        positive.insert(name);
    return;
  }
  for (const Sympy &argument : sympy.arguments)
    collectSymbols(argument, all, positive);
}

std::string BoolExpr::str() const {
  if (kind == Kind::Constant)
    return value ? "true" : "false";
  if (kind == Kind::Not)
    return "not(" + operands[0].str() + ")";
  if (kind != Kind::And && kind != Kind::Or)
    return lhs.str() + std::string(comparisonSign(kind)) + rhs.str();
  if (operands.empty())
    return kind == Kind::And ? "true" : "false";
  std::string text;
  for (const BoolExpr &operand : operands) {
    bool nested = operand.kind == Kind::And || operand.kind == Kind::Or;
    text += text.empty() ? "" : kind == Kind::And ? " and " : " or ";
    text += nested ? "(" + operand.str() + ")" : operand.str();
  }
  return text;
}

std::optional<bool>
BoolExpr::evaluate(const std::map<std::string, int64_t> &symbols) const {
  if (kind == Kind::Constant)
    return value;
  if (kind == Kind::And || kind == Kind::Or || kind == Kind::Not) {
    bool all = true, any = false;
    for (const BoolExpr &operand : operands) {
      std::optional<bool> part = operand.evaluate(symbols);
      if (!part)
        return std::nullopt;
      all &= *part;
      any |= *part;
    }
    return kind == Kind::And ? all : kind == Kind::Or ? any : !all;
  }
  std::optional<int64_t> a = lhs.evaluate(symbols), b = rhs.evaluate(symbols);
  if (!a || !b)
    return std::nullopt;
  switch (kind) {
  case Kind::Eq:
    return *a == *b;
  case Kind::Ne:
    return *a != *b;
  case Kind::Lt:
    return *a < *b;
  default:
    return *a <= *b;
  }
}

} // namespace rtorch::importer
