// Canonical integer expressions over symbols: sizes, strides and offsets that are
// only known at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rtorch::layout {

class Expr;

/// A factor of a product: a symbol or an operation that does not distribute.
struct Atom;

/// `coefficient * product(atom ^ power)`. Without factors: a constant.
struct Term {
  int64_t coefficient = 0;
  std::vector<std::pair<std::shared_ptr<const Atom>, unsigned>> factors;
};

/// An immutable integer expression in canonical form: a sum of products of atoms
/// (symbols, floordiv, mod, min, max). Two expressions that are equal as polynomials
/// over their atoms compare equal and print the same. Cheap to copy.
///
/// Arithmetic that overflows int64, or that would need an expression beyond the limits
/// in Expr.cpp (a guard against hostile input), gives an expression for which
/// overflowed() holds; it stays overflowed through further arithmetic and prints
/// "overflow".
class Expr {
public:
  Expr();              // 0
  Expr(int64_t value); // NOLINT: a constant is an expression

  /// A symbol; `name` is an identifier ([A-Za-z_][A-Za-z0-9_]*).
  static Expr symbol(std::string_view name);
  /// The overflowed expression.
  static Expr overflow();
  /// Reads what str() prints. Grammar: integers, identifiers, + - * (also unary -),
  /// parentheses, floordiv(a, b), mod(a, b), min(a, b), max(a, b), ceildiv(a, b).
  /// Returns nullopt on a syntax error.
  static std::optional<Expr> parse(std::string_view text);

  /// Prints in canonical order, e.g. "384*s0*s1 + 2", "floordiv(s0 + 1, 2)".
  std::string str() const;

  bool isConstant() const { return constant().has_value(); }
  std::optional<int64_t> constant() const;
  bool isConstant(int64_t value) const { return constant() == value; }
  /// The symbol's name if the expression is one bare symbol.
  std::optional<std::string> symbolName() const;
  bool overflowed() const;

  /// The names of all symbols that occur.
  std::set<std::string> symbols() const;
  /// Replaces symbols by expressions; symbols that are not in the map stay.
  Expr substitute(const std::map<std::string, Expr> &values) const;
  /// The value for given symbols; nullopt if one is missing, on overflow, and on
  /// division by zero.
  std::optional<int64_t> evaluate(const std::map<std::string, int64_t> &values) const;

  /// The sum's terms in canonical order; empty for 0.
  const std::vector<Term> &terms() const;

  friend Expr operator+(const Expr &a, const Expr &b);
  friend Expr operator-(const Expr &a, const Expr &b);
  friend Expr operator-(const Expr &a);
  friend Expr operator*(const Expr &a, const Expr &b);
  Expr &operator+=(const Expr &b) { return *this = *this + b; }
  Expr &operator*=(const Expr &b) { return *this = *this * b; }
  friend bool operator==(const Expr &a, const Expr &b);
  /// A total order without meaning, for containers.
  friend bool operator<(const Expr &a, const Expr &b);
  size_t hash() const;

private:
  struct Node;
  explicit Expr(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;
  friend struct ExprBuilder;
};

enum class AtomKind : uint8_t { Symbol, FloorDiv, Mod, Min, Max };

struct Atom {
  AtomKind kind;
  std::string name; // Symbol
  Expr a, b;        // the others
};

/// Rounds to minus infinity. Folded where exact (`(6*s0) floordiv 3` is `2*s0`).
/// Folding takes symbolic divisors for non-zero; a constant divisor 0 is kept and fails
/// in evaluate(). The same holds for mod and ceildiv.
Expr floordiv(const Expr &a, const Expr &b);
/// Sign of the divisor, as Python's %. Folded where exact.
Expr mod(const Expr &a, const Expr &b);
Expr min(const Expr &a, const Expr &b);
Expr max(const Expr &a, const Expr &b);
/// floordiv(a + b - 1, b)
Expr ceildiv(const Expr &a, const Expr &b);

/// Rebuilds `expr` with a builder of another representation (the module's expression
/// table, arith ops, numbers): needs constant(int64_t), symbol(const std::string &),
/// add, mul, floordiv, mod, min, max (two values each), all returning `Value`. `expr`
/// must not be overflowed().
template <typename Builder>
auto lower(const Expr &expr, Builder &builder) -> decltype(builder.constant(0));

} // namespace rtorch::layout

template <> struct std::hash<rtorch::layout::Expr> {
  size_t operator()(const rtorch::layout::Expr &expr) const { return expr.hash(); }
};

namespace rtorch::layout {

template <typename Builder>
auto lowerAtom(const Atom &atom, Builder &builder) -> decltype(builder.constant(0)) {
  if (atom.kind == AtomKind::Symbol)
    return builder.symbol(atom.name);
  auto a = lower(atom.a, builder), b = lower(atom.b, builder);
  switch (atom.kind) {
  case AtomKind::FloorDiv:
    return builder.floordiv(a, b);
  case AtomKind::Mod:
    return builder.mod(a, b);
  case AtomKind::Min:
    return builder.min(a, b);
  default:
    return builder.max(a, b);
  }
}

template <typename Builder>
auto lower(const Expr &expr, Builder &builder) -> decltype(builder.constant(0)) {
  using Value = decltype(builder.constant(0));
  std::optional<Value> sum;
  for (const Term &term : expr.terms()) {
    std::optional<Value> product;
    if (term.coefficient != 1 || term.factors.empty())
      product = builder.constant(term.coefficient);
    for (const auto &[atom, power] : term.factors) {
      Value factor = lowerAtom(*atom, builder);
      for (unsigned i = 0; i < power; ++i)
        product = product ? builder.mul(*product, factor) : factor;
    }
    sum = sum ? builder.add(*sum, *product) : *product;
  }
  return sum ? *sum : builder.constant(0);
}

} // namespace rtorch::layout
