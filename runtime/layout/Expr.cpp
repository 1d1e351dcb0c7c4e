#include "runtime/layout/Expr.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace rtorch::layout {

// Limits that no real program reaches. They keep recursion, printing and products of
// hostile input bounded; what goes beyond counts as overflowed.
static constexpr size_t kMaxTerms = 4096;
static constexpr size_t kMaxTreeSize = 1 << 15;
static constexpr unsigned kMaxDepth = 128;

/// `terms` are sorted, distinct and without zeros. The expression 0 has no node.
struct Expr::Node {
  std::vector<Term> terms;
  bool overflowed = false;
  size_t treeSize = 0; // factors and terms, with those inside atoms
  unsigned depth = 0;  // nesting of floordiv, mod, min, max
};

struct ExprBuilder {
  static size_t treeSize(const Expr &e) { return e.node_ ? e.node_->treeSize : 0; }
  static unsigned depth(const Expr &e) { return e.node_ ? e.node_->depth : 0; }

  static Expr overflow() {
    static const auto node = [] {
      Expr::Node overflowed;
      overflowed.overflowed = true;
      return std::make_shared<const Expr::Node>(std::move(overflowed));
    }();
    return Expr(node);
  }

  /// From sorted, distinct terms without zeros.
  static Expr fromCanonical(std::vector<Term> terms) {
    if (terms.empty())
      return Expr();
    Expr::Node node;
    node.treeSize = terms.size();
    for (const Term &term : terms)
      for (const auto &[atom, power] : term.factors) {
        size_t inner = 1 + treeSize(atom->a) + treeSize(atom->b);
        if (power > kMaxTreeSize)
          return overflow();
        node.treeSize += inner * power;
        node.depth = std::max(node.depth, 1 + std::max(depth(atom->a), depth(atom->b)));
      }
    if (terms.size() > kMaxTerms || node.treeSize > kMaxTreeSize ||
        node.depth > kMaxDepth)
      return overflow();
    node.terms = std::move(terms);
    return Expr(std::make_shared<const Expr::Node>(std::move(node)));
  }

  static Expr fromAtom(Atom atom) {
    Term term{1, {{std::make_shared<const Atom>(std::move(atom)), 1U}}};
    return fromCanonical({std::move(term)});
  }
};

// --- Order --------------------------------------------------------------------------

/// Splits "s10" in "s" and "10", so that s2 comes before s10.
static int compareNames(std::string_view a, std::string_view b) {
  auto prefixLength = [](std::string_view name) {
    size_t n = name.size();
    while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9')
      --n;
    return n;
  };
  size_t pa = prefixLength(a), pb = prefixLength(b);
  if (int c = a.substr(0, pa).compare(b.substr(0, pb)))
    return c;
  if (a.size() != b.size())
    return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

static int compareExprs(const Expr &a, const Expr &b);

static int compareAtoms(const Atom &a, const Atom &b) {
  if (&a == &b)
    return 0;
  if (a.kind != b.kind)
    return a.kind < b.kind ? -1 : 1;
  if (a.kind == AtomKind::Symbol)
    return compareNames(a.name, b.name);
  if (int c = compareExprs(a.a, b.a))
    return c;
  return compareExprs(a.b, b.b);
}

static uint64_t degree(const Term &term) {
  uint64_t sum = 0;
  for (const auto &factor : term.factors)
    sum += factor.second;
  return sum;
}

/// Graded lexicographic, largest first: a monomial order, which exact division needs.
static int compareMonomials(const Term &a, const Term &b) {
  uint64_t da = degree(a), db = degree(b);
  if (da != db)
    return da > db ? -1 : 1;
  for (size_t i = 0; i < a.factors.size() && i < b.factors.size(); ++i) {
    if (int c = compareAtoms(*a.factors[i].first, *b.factors[i].first))
      return c;
    if (a.factors[i].second != b.factors[i].second)
      return a.factors[i].second > b.factors[i].second ? -1 : 1;
  }
  return 0; // equal degree and equal common factors: the same monomial
}

static int compareExprs(const Expr &a, const Expr &b) {
  if (a.overflowed() != b.overflowed())
    return a.overflowed() ? 1 : -1;
  const std::vector<Term> &ta = a.terms(), &tb = b.terms();
  if (&ta == &tb)
    return 0;
  for (size_t i = 0; i < ta.size() && i < tb.size(); ++i) {
    if (int c = compareMonomials(ta[i], tb[i]))
      return c;
    if (ta[i].coefficient != tb[i].coefficient)
      return ta[i].coefficient < tb[i].coefficient ? -1 : 1;
  }
  return ta.size() == tb.size() ? 0 : ta.size() < tb.size() ? -1 : 1;
}

bool operator==(const Expr &a, const Expr &b) {
  return a.node_ == b.node_ || compareExprs(a, b) == 0;
}
bool operator<(const Expr &a, const Expr &b) { return compareExprs(a, b) < 0; }

// --- Sums and products --------------------------------------------------------------

/// Sorts, merges equal monomials, drops zeros.
static Expr canonical(std::vector<Term> terms) {
  std::sort(terms.begin(), terms.end(),
            [](const Term &a, const Term &b) { return compareMonomials(a, b) < 0; });
  std::vector<Term> merged;
  for (Term &term : terms) {
    if (merged.empty() || compareMonomials(merged.back(), term) != 0)
      merged.push_back(std::move(term));
    else if (__builtin_add_overflow(merged.back().coefficient, term.coefficient,
                                    &merged.back().coefficient))
      return ExprBuilder::overflow();
  }
  std::erase_if(merged, [](const Term &term) { return term.coefficient == 0; });
  return ExprBuilder::fromCanonical(std::move(merged));
}

/// nullopt on overflow of the coefficient.
static std::optional<Term> multiply(const Term &a, const Term &b) {
  Term product;
  if (__builtin_mul_overflow(a.coefficient, b.coefficient, &product.coefficient))
    return std::nullopt;
  size_t i = 0, j = 0;
  while (i < a.factors.size() || j < b.factors.size()) {
    int c = i == a.factors.size() ? 1
            : j == b.factors.size()
                ? -1
                : compareAtoms(*a.factors[i].first, *b.factors[j].first);
    if (c < 0)
      product.factors.push_back(a.factors[i++]);
    else if (c > 0)
      product.factors.push_back(b.factors[j++]);
    else {
      product.factors.emplace_back(a.factors[i].first,
                                   a.factors[i].second + b.factors[j].second);
      ++i, ++j;
    }
  }
  return product;
}

Expr::Expr() = default;

Expr::Expr(int64_t value) {
  if (value != 0)
    *this = ExprBuilder::fromCanonical({Term{value, {}}});
}

Expr Expr::overflow() { return ExprBuilder::overflow(); }

Expr Expr::symbol(std::string_view name) {
  assert(!name.empty() && "a symbol needs a name");
  return ExprBuilder::fromAtom({AtomKind::Symbol, std::string(name), {}, {}});
}

Expr operator+(const Expr &a, const Expr &b) {
  if (a.overflowed() || b.overflowed())
    return Expr::overflow();
  if (a.terms().empty())
    return b;
  if (b.terms().empty())
    return a;
  std::vector<Term> terms = a.terms();
  terms.insert(terms.end(), b.terms().begin(), b.terms().end());
  return canonical(std::move(terms));
}

Expr operator-(const Expr &a) { return a * Expr(-1); }
Expr operator-(const Expr &a, const Expr &b) { return a + -b; }

Expr operator*(const Expr &a, const Expr &b) {
  if (a.overflowed() || b.overflowed())
    return Expr::overflow();
  if (a.isConstant(1))
    return b;
  if (b.isConstant(1))
    return a;
  if (a.terms().size() * b.terms().size() > kMaxTerms)
    return Expr::overflow();
  std::vector<Term> terms;
  for (const Term &x : a.terms())
    for (const Term &y : b.terms()) {
      std::optional<Term> product = multiply(x, y);
      if (!product)
        return Expr::overflow();
      terms.push_back(*std::move(product));
    }
  return canonical(std::move(terms));
}

// --- Exact division -----------------------------------------------------------------

/// a / b where that has integer coefficients and no negative powers.
static std::optional<Term> divideTerm(const Term &a, const Term &b) {
  if (b.coefficient == 0 || (b.coefficient == -1 && a.coefficient == INT64_MIN) ||
      a.coefficient % b.coefficient != 0)
    return std::nullopt;
  Term quotient{a.coefficient / b.coefficient, {}};
  size_t j = 0;
  for (const auto &[atom, power] : a.factors) {
    unsigned rest = power;
    if (j < b.factors.size() && compareAtoms(*atom, *b.factors[j].first) == 0) {
      if (b.factors[j].second > power)
        return std::nullopt;
      rest = power - b.factors[j++].second;
    }
    if (rest > 0)
      quotient.factors.emplace_back(atom, rest);
  }
  if (j != b.factors.size())
    return std::nullopt;
  return quotient;
}

/// `a` divided by a term that divides each of its terms.
static Expr divideBy(const Expr &a, const Term &divisor) {
  std::vector<Term> terms;
  for (const Term &term : a.terms())
    terms.push_back(*divideTerm(term, divisor));
  return canonical(std::move(terms));
}

/// The largest term (positive coefficient) that divides all terms of `a` and `b`.
static Term commonContent(const Expr &a, const Expr &b) {
  uint64_t divisor = 0;
  std::optional<std::vector<std::pair<std::shared_ptr<const Atom>, unsigned>>> factors;
  auto visit = [&](const Term &term) {
    uint64_t magnitude = term.coefficient < 0
                             ? 0 - static_cast<uint64_t>(term.coefficient)
                             : static_cast<uint64_t>(term.coefficient);
    divisor = std::gcd(divisor, magnitude);
    if (!factors) {
      factors = term.factors;
      return;
    }
    for (auto &[atom, power] : *factors) {
      unsigned other = 0;
      for (const auto &[candidate, candidatePower] : term.factors)
        if (compareAtoms(*candidate, *atom) == 0)
          other = candidatePower;
      power = std::min(power, other);
    }
    std::erase_if(*factors, [](const auto &factor) { return factor.second == 0; });
  };
  for (const Term &term : a.terms())
    visit(term);
  for (const Term &term : b.terms())
    visit(term);
  if (divisor > static_cast<uint64_t>(INT64_MAX))
    divisor = 1; // 2^63 does not fit a coefficient
  return {static_cast<int64_t>(divisor), factors ? *factors : Term{}.factors};
}

static bool isOne(const Term &term) {
  return term.coefficient == 1 && term.factors.empty();
}

/// a / b where b divides a as a polynomial.
static std::optional<Expr> divideExactly(Expr a, const Expr &b) {
  Expr quotient;
  // Each step removes the leading term; a fixed bound in case of a bad divisor.
  for (size_t step = 0; step < 64 && !a.overflowed(); ++step) {
    if (a.terms().empty())
      return quotient;
    std::optional<Term> term = divideTerm(a.terms().front(), b.terms().front());
    if (!term)
      return std::nullopt;
    Expr part = ExprBuilder::fromCanonical({*term});
    quotient += part;
    a = a - part * b;
  }
  return std::nullopt;
}

static int64_t floorDivide(int64_t a, int64_t b) {
  int64_t quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

static int64_t floorModulo(int64_t a, int64_t b) {
  int64_t remainder = a % b;
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

/// Splits `a` as whole * divisor + rest, exactly. With a constant divisor coefficients
/// are split too: the constant term so that its rest is in [0, divisor), the others
/// toward zero, which keeps their sign (better bounds).
static std::pair<Expr, Expr> splitMultiples(const Expr &a, const Term &divisor) {
  std::vector<Term> whole, rest;
  for (const Term &term : a.terms()) {
    if (std::optional<Term> quotient = divideTerm(term, divisor)) {
      whole.push_back(*std::move(quotient));
    } else if (divisor.factors.empty()) {
      int64_t c = divisor.coefficient;
      int64_t quotient = term.factors.empty() ? floorDivide(term.coefficient, c)
                                              : term.coefficient / c;
      if (quotient != 0)
        whole.push_back({quotient, term.factors});
      rest.push_back({term.coefficient - quotient * c, term.factors});
    } else {
      rest.push_back(term);
    }
  }
  return {canonical(std::move(whole)), canonical(std::move(rest))};
}

/// floordiv(floordiv(x, c) + k, d) = floordiv(x + k*c, c*d) for positive c, d.
static std::optional<Expr> foldNestedFloorDiv(const Expr &a, int64_t d) {
  const std::vector<Term> &terms = a.terms();
  if (terms.empty() || terms.size() > 2 || d <= 0 ||
      (terms.size() == 2 && !terms[1].factors.empty()))
    return std::nullopt;
  const Term &first = terms.front();
  if (first.coefficient != 1 || first.factors.size() != 1 ||
      first.factors[0].second != 1)
    return std::nullopt;
  const Atom &atom = *first.factors[0].first;
  std::optional<int64_t> c = atom.b.constant();
  if (atom.kind != AtomKind::FloorDiv || !c || *c <= 0)
    return std::nullopt;
  Expr k = terms.size() == 2 ? Expr(terms[1].coefficient) : Expr();
  Expr numerator = atom.a + k * *c, denominator = Expr(*c) * d;
  if (numerator.overflowed() || denominator.overflowed())
    return std::nullopt;
  return floordiv(numerator, denominator);
}

Expr floordiv(const Expr &a, const Expr &b) {
  if (a.overflowed() || b.overflowed())
    return Expr::overflow();
  if (b.isConstant(0))
    return ExprBuilder::fromAtom({AtomKind::FloorDiv, {}, a, b});
  if (a.isConstant(0))
    return 0;
  if (b.terms().front().coefficient < 0)
    return floordiv(-a, -b);
  Term content = commonContent(a, b);
  if (!isOne(content))
    return floordiv(divideBy(a, content), divideBy(b, content));
  if (b.isConstant(1))
    return a;
  if (a.isConstant() && b.isConstant())
    return floorDivide(*a.constant(), *b.constant());
  if (b.terms().size() == 1) {
    auto [whole, rest] = splitMultiples(a, b.terms().front());
    if (!whole.isConstant(0))
      return whole + floordiv(rest, b);
    if (b.isConstant())
      if (std::optional<Expr> folded = foldNestedFloorDiv(a, *b.constant()))
        return *folded;
  } else if (std::optional<Expr> quotient = divideExactly(a, b)) {
    return *quotient;
  }
  return ExprBuilder::fromAtom({AtomKind::FloorDiv, {}, a, b});
}

/// Replaces k*mod(x, c) by k*x where `d` divides c: the same value modulo d.
static Expr dropInnerMods(const Expr &a, int64_t d) {
  Expr sum;
  for (const Term &term : a.terms()) {
    Expr part = ExprBuilder::fromCanonical({term});
    if (term.factors.size() == 1 && term.factors[0].second == 1) {
      const Atom &atom = *term.factors[0].first;
      std::optional<int64_t> c = atom.b.constant();
      if (atom.kind == AtomKind::Mod && c && *c != 0 && *c % d == 0)
        part = atom.a * term.coefficient;
    }
    sum += part;
  }
  return sum.overflowed() ? a : sum;
}

Expr mod(const Expr &a, const Expr &b) {
  if (a.overflowed() || b.overflowed())
    return Expr::overflow();
  if (b.isConstant(0))
    return ExprBuilder::fromAtom({AtomKind::Mod, {}, a, b});
  if (a.isConstant(0))
    return 0;
  if (b.terms().front().coefficient < 0)
    return -mod(-a, -b);
  Term content = commonContent(a, b);
  if (!isOne(content))
    return ExprBuilder::fromCanonical({content}) *
           mod(divideBy(a, content), divideBy(b, content));
  if (b.isConstant(1))
    return 0;
  if (a.isConstant() && b.isConstant())
    return floorModulo(*a.constant(), *b.constant());
  if (b.terms().size() == 1) {
    auto [whole, rest] = splitMultiples(a, b.terms().front());
    if (b.isConstant())
      rest = dropInnerMods(rest, *b.constant());
    if (rest != a)
      return mod(rest, b);
  } else if (divideExactly(a, b)) {
    return 0;
  }
  return ExprBuilder::fromAtom({AtomKind::Mod, {}, a, b});
}

// --- Minimum and maximum
// --------------------------------------------------------------

static void collectOperands(AtomKind kind, const Expr &e, std::vector<Expr> &out) {
  if (e.terms().size() == 1) {
    const Term &term = e.terms().front();
    if (term.coefficient == 1 && term.factors.size() == 1 &&
        term.factors[0].second == 1 && term.factors[0].first->kind == kind) {
      collectOperands(kind, term.factors[0].first->a, out);
      collectOperands(kind, term.factors[0].first->b, out);
      return;
    }
  }
  // Operands that differ by a constant: only the smaller (larger) one stays.
  for (Expr &other : out)
    if (std::optional<int64_t> difference = (e - other).constant()) {
      if (kind == AtomKind::Min ? *difference < 0 : *difference > 0)
        other = e;
      return;
    }
  out.push_back(e);
}

/// max(x, min(x, y)) is x, and min(x, max(x, y)) too: drops operands of the other kind
/// that hold another operand.
static void absorb(AtomKind kind, std::vector<Expr> &operands) {
  AtomKind other = kind == AtomKind::Min ? AtomKind::Max : AtomKind::Min;
  const std::vector<Expr> all = operands;
  std::erase_if(operands, [&](const Expr &e) {
    std::vector<Expr> parts;
    collectOperands(other, e, parts);
    return parts.size() > 1 && std::ranges::any_of(parts, [&](const Expr &part) {
             return std::ranges::find(all, part) != all.end();
           });
  });
}

static Expr extremum(AtomKind kind, const Expr &a, const Expr &b) {
  if (a.overflowed() || b.overflowed())
    return Expr::overflow();
  std::vector<Expr> operands;
  collectOperands(kind, a, operands);
  collectOperands(kind, b, operands);
  absorb(kind, operands);
  std::sort(operands.begin(), operands.end());
  Expr result = operands.back();
  for (size_t i = operands.size() - 1; i-- > 0;)
    result = ExprBuilder::fromAtom({kind, {}, operands[i], result});
  return result;
}

Expr min(const Expr &a, const Expr &b) { return extremum(AtomKind::Min, a, b); }
Expr max(const Expr &a, const Expr &b) { return extremum(AtomKind::Max, a, b); }
Expr ceildiv(const Expr &a, const Expr &b) { return floordiv(a + b - 1, b); }

// --- Inspection
// -----------------------------------------------------------------------

const std::vector<Term> &Expr::terms() const {
  static const std::vector<Term> none;
  return node_ ? node_->terms : none;
}

bool Expr::overflowed() const { return node_ && node_->overflowed; }

std::optional<int64_t> Expr::constant() const {
  if (!node_)
    return 0;
  if (node_->overflowed || node_->terms.size() != 1 || !node_->terms[0].factors.empty())
    return std::nullopt;
  return node_->terms[0].coefficient;
}

std::optional<std::string> Expr::symbolName() const {
  if (terms().size() != 1)
    return std::nullopt;
  const Term &term = terms().front();
  if (term.coefficient != 1 || term.factors.size() != 1 ||
      term.factors[0].second != 1 || term.factors[0].first->kind != AtomKind::Symbol)
    return std::nullopt;
  return term.factors[0].first->name;
}

static void collectSymbols(const Expr &e, std::set<std::string> &names) {
  for (const Term &term : e.terms())
    for (const auto &factor : term.factors) {
      if (factor.first->kind == AtomKind::Symbol) {
        names.insert(factor.first->name);
        continue;
      }
      collectSymbols(factor.first->a, names);
      collectSymbols(factor.first->b, names);
    }
}

std::set<std::string> Expr::symbols() const {
  std::set<std::string> names;
  collectSymbols(*this, names);
  return names;
}

namespace {
struct Substitution {
  const std::map<std::string, Expr> &values;
  Expr constant(int64_t value) { return value; }
  Expr symbol(const std::string &name) {
    auto found = values.find(name);
    return found == values.end() ? Expr::symbol(name) : found->second;
  }
  Expr add(const Expr &a, const Expr &b) { return a + b; }
  Expr mul(const Expr &a, const Expr &b) { return a * b; }
  Expr floordiv(const Expr &a, const Expr &b) { return layout::floordiv(a, b); }
  Expr mod(const Expr &a, const Expr &b) { return layout::mod(a, b); }
  Expr min(const Expr &a, const Expr &b) { return layout::min(a, b); }
  Expr max(const Expr &a, const Expr &b) { return layout::max(a, b); }
};

/// A number, or nothing after overflow, division by zero or a missing symbol.
struct Checked {
  int64_t value = 0;
  bool valid = false;
};

struct Evaluation {
  const std::map<std::string, int64_t> &values;
  Checked constant(int64_t value) { return {value, true}; }
  Checked symbol(const std::string &name) {
    auto found = values.find(name);
    return found == values.end() ? Checked{} : Checked{found->second, true};
  }
  Checked add(Checked a, Checked b) {
    Checked sum;
    sum.valid =
        a.valid && b.valid && !__builtin_add_overflow(a.value, b.value, &sum.value);
    return sum;
  }
  Checked mul(Checked a, Checked b) {
    Checked product;
    product.valid =
        a.valid && b.valid && !__builtin_mul_overflow(a.value, b.value, &product.value);
    return product;
  }
  static bool divides(Checked a, Checked b) {
    return a.valid && b.valid && b.value != 0 &&
           (a.value != INT64_MIN || b.value != -1);
  }
  Checked floordiv(Checked a, Checked b) {
    return divides(a, b) ? Checked{floorDivide(a.value, b.value), true} : Checked{};
  }
  Checked mod(Checked a, Checked b) {
    return divides(a, b) ? Checked{floorModulo(a.value, b.value), true} : Checked{};
  }
  Checked min(Checked a, Checked b) {
    return {std::min(a.value, b.value), a.valid && b.valid};
  }
  Checked max(Checked a, Checked b) {
    return {std::max(a.value, b.value), a.valid && b.valid};
  }
};
} // namespace

Expr Expr::substitute(const std::map<std::string, Expr> &values) const {
  if (overflowed() || isConstant())
    return *this;
  Substitution builder{values};
  return lower(*this, builder);
}

std::optional<int64_t>
Expr::evaluate(const std::map<std::string, int64_t> &values) const {
  if (overflowed())
    return std::nullopt;
  Evaluation builder{values};
  Checked result = lower(*this, builder);
  return result.valid ? std::optional<int64_t>(result.value) : std::nullopt;
}

static void mix(size_t &seed, size_t value) {
  seed ^= value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2);
}

size_t Expr::hash() const {
  size_t seed = overflowed() ? 1 : 0;
  for (const Term &term : terms()) {
    mix(seed, std::hash<int64_t>()(term.coefficient));
    for (const auto &[atom, power] : term.factors) {
      mix(seed, static_cast<size_t>(atom->kind) * 64 + power);
      mix(seed, std::hash<std::string>()(atom->name));
      mix(seed, atom->a.hash());
      mix(seed, atom->b.hash());
    }
  }
  return seed;
}

} // namespace rtorch::layout
