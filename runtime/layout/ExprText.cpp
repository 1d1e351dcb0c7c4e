// Printing and parsing of expressions.
#include "runtime/layout/Expr.h"

#include <charconv>

namespace rtorch::layout {

static const char *nameOf(AtomKind kind) {
  switch (kind) {
  case AtomKind::Symbol:
    return "";
  case AtomKind::FloorDiv:
    return "floordiv";
  case AtomKind::Mod:
    return "mod";
  case AtomKind::Min:
    return "min";
  case AtomKind::Max:
    return "max";
  }
  return "";
}

static std::string printAtom(const Atom &atom) {
  if (atom.kind == AtomKind::Symbol)
    return atom.name;
  return std::string(nameOf(atom.kind)) + "(" + atom.a.str() + ", " + atom.b.str() +
         ")";
}

/// Without the sign that the caller printed.
static std::string printTerm(const Term &term, bool dropSign) {
  std::string text;
  if (term.factors.empty() || (term.coefficient != 1 && term.coefficient != -1))
    text = std::to_string(dropSign ? -term.coefficient : term.coefficient);
  else if (term.coefficient == -1 && !dropSign)
    text = "-";
  bool first = text.empty() || text == "-";
  for (const auto &[atom, power] : term.factors)
    for (unsigned i = 0; i < power; ++i) {
      if (!first)
        text += '*';
      text += printAtom(*atom);
      first = false;
    }
  return text;
}

std::string Expr::str() const {
  if (overflowed())
    return "overflow";
  if (terms().empty())
    return "0";
  std::string text;
  for (const Term &term : terms()) {
    // INT64_MIN has no positive counterpart: it keeps its sign.
    bool minus = !text.empty() && term.coefficient < 0 && term.coefficient != INT64_MIN;
    if (!text.empty())
      text += minus ? " - " : " + ";
    text += printTerm(term, minus);
  }
  return text;
}

namespace {
/// Recursive descent over `text`; every function returns nullopt on a syntax error.
class Parser {
public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Expr> parse() {
    std::optional<Expr> result = sum();
    skipSpace();
    return at_ == text_.size() ? result : std::nullopt;
  }

private:
  static constexpr int kMaxNesting = 200;
  static bool isDigit(char c) { return c >= '0' && c <= '9'; }
  static bool isLetter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }

  void skipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t'))
      ++at_;
  }
  bool accept(char c) {
    skipSpace();
    if (at_ >= text_.size() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }

  std::optional<Expr> sum() {
    if (++nesting_ > kMaxNesting)
      return std::nullopt;
    std::optional<Expr> result = product();
    while (result) {
      bool plus = accept('+');
      if (!plus && !accept('-'))
        break;
      std::optional<Expr> next = product();
      if (!next)
        return std::nullopt;
      result = plus ? *result + *next : *result - *next;
    }
    --nesting_;
    return result;
  }

  std::optional<Expr> product() {
    std::optional<Expr> result = unary();
    while (result && accept('*')) {
      std::optional<Expr> next = unary();
      if (!next)
        return std::nullopt;
      result = *result * *next;
    }
    return result;
  }

  std::optional<Expr> unary() {
    bool negative = false;
    while (accept('-'))
      negative = !negative;
    skipSpace();
    if (at_ < text_.size() && isDigit(text_[at_]))
      return number(negative);
    std::optional<Expr> result = primary();
    return result && negative ? -*result : result;
  }

  /// With its sign, so that INT64_MIN can be read. Beyond int64: overflowed.
  Expr number(bool negative) {
    size_t begin = at_;
    while (at_ < text_.size() && isDigit(text_[at_]))
      ++at_;
    std::string digits(text_.substr(begin, at_ - begin));
    if (negative)
      digits.insert(digits.begin(), '-');
    int64_t value = 0;
    auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() ? Expr(value) : Expr::overflow();
  }

  std::optional<Expr> primary() {
    if (accept('(')) {
      std::optional<Expr> inner = sum();
      return accept(')') ? inner : std::nullopt;
    }
    if (at_ >= text_.size() || !isLetter(text_[at_]))
      return std::nullopt;
    size_t begin = at_;
    while (at_ < text_.size() && (isLetter(text_[at_]) || isDigit(text_[at_])))
      ++at_;
    std::string_view name = text_.substr(begin, at_ - begin);
    if (accept('('))
      return call(name);
    return name == "overflow" ? Expr::overflow() : Expr::symbol(name);
  }

  std::optional<Expr> call(std::string_view name) {
    std::optional<Expr> a = sum();
    if (!a || !accept(','))
      return std::nullopt;
    std::optional<Expr> b = sum();
    if (!b || !accept(')'))
      return std::nullopt;
    if (name == "floordiv")
      return floordiv(*a, *b);
    if (name == "mod")
      return mod(*a, *b);
    if (name == "min")
      return min(*a, *b);
    if (name == "max")
      return max(*a, *b);
    if (name == "ceildiv")
      return ceildiv(*a, *b);
    return std::nullopt;
  }

  std::string_view text_;
  size_t at_ = 0;
  int nesting_ = 0;
};
} // namespace

std::optional<Expr> Expr::parse(std::string_view text) { return Parser(text).parse(); }

} // namespace rtorch::layout
