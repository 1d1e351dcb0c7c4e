#include "runtime/layout/Guards.h"

#include "runtime/layout/Interval.h"

#include <algorithm>
#include <numeric>

namespace rtorch::layout {

// Beyond these sizes the refined bounds are not worth their time.
static constexpr size_t kMaxTermsToFactor = 16;
static constexpr size_t kMaxAtomsToFactor = 6;
static constexpr int kFactorDepth = 2;
/// Lower bounds beyond this are not shifted to zero: products would overflow.
static constexpr int64_t kMaxShift = INT64_C(1) << 31;

static Answer negate(Answer answer) {
  return answer == Answer::Open     ? Answer::Open
         : answer == Answer::Proven ? Answer::Refuted
                                    : Answer::Proven;
}

static Guard negated(const Guard &guard) {
  switch (guard.relation) {
  case Relation::Eq:
    return {Relation::Ne, guard.lhs, guard.rhs, guard.reason};
  case Relation::Ne:
    return {Relation::Eq, guard.lhs, guard.rhs, guard.reason};
  case Relation::Lt:
    return {Relation::Le, guard.rhs, guard.lhs, guard.reason};
  case Relation::Le:
    return {Relation::Lt, guard.rhs, guard.lhs, guard.reason};
  }
  return guard;
}

void Guards::declare(const std::string &symbol, Range range,
                     std::optional<int64_t> hint) {
  if (!hint || *hint < range.min || *hint > range.max)
    hint = std::min(std::max<int64_t>(2, range.min), range.max);
  ranges_[symbol] = range;
  tight_[symbol] = range;
  hints_[symbol] = *hint;
}

// --- Bounds
// ---------------------------------------------------------------------------

Range Guards::rangeOfSymbol(const std::string &symbol) const {
  auto found = tight_.find(symbol);
  return found == tight_.end() ? Range() : found->second;
}

Range Guards::rangeOfAtom(const Atom &atom) const {
  if (atom.kind == AtomKind::Symbol)
    return rangeOfSymbol(atom.name);
  Range a = rangeOf(atom.a), b = rangeOf(atom.b);
  switch (atom.kind) {
  case AtomKind::FloorDiv:
    return interval::floordiv(a, b);
  case AtomKind::Mod:
    return interval::mod(a, b);
  case AtomKind::Min:
    return interval::min(a, b);
  default:
    return interval::max(a, b);
  }
}

Range Guards::rangeOfTerm(const Term &term) const {
  Range range{term.coefficient, term.coefficient};
  for (const auto &[atom, power] : term.factors)
    range = interval::multiply(range, interval::power(rangeOfAtom(*atom), power));
  return range;
}

/// Rebuilds one term as an expression, without `dropped` factors of `atom`.
static Expr termExpr(const Term &term, const Atom *atom, unsigned dropped) {
  Expr product = term.coefficient;
  for (const auto &[factor, power] : term.factors) {
    unsigned count = factor.get() == atom ? power - dropped : power;
    Expr base = factor->kind == AtomKind::Symbol     ? Expr::symbol(factor->name)
                : factor->kind == AtomKind::FloorDiv ? floordiv(factor->a, factor->b)
                : factor->kind == AtomKind::Mod      ? mod(factor->a, factor->b)
                : factor->kind == AtomKind::Min      ? min(factor->a, factor->b)
                                                     : max(factor->a, factor->b);
    for (unsigned i = 0; i < count; ++i)
      product *= base;
  }
  return product;
}

static bool sameAtom(const Atom &a, const Atom &b) {
  return &a == &b || (a.kind == b.kind && a.name == b.name && a.a == b.a && a.b == b.b);
}

static std::vector<const Atom *> distinctAtoms(const Expr &expr) {
  std::vector<const Atom *> atoms;
  for (const Term &term : expr.terms())
    for (const auto &factor : term.factors)
      if (std::none_of(atoms.begin(), atoms.end(), [&](const Atom *atom) {
            return sameAtom(*atom, *factor.first);
          }))
        atoms.push_back(factor.first.get());
  return atoms;
}

/// Splits expr = atom * quotient + rest.
static std::pair<Expr, Expr> splitByAtom(const Expr &expr, const Atom &atom) {
  Expr quotient, rest;
  for (const Term &term : expr.terms()) {
    const Atom *own = nullptr;
    for (const auto &factor : term.factors)
      if (sameAtom(*factor.first, atom))
        own = factor.first.get();
    if (own)
      quotient += termExpr(term, own, 1);
    else
      rest += termExpr(term, nullptr, 0);
  }
  return {quotient, rest};
}

/// The sum of the terms' bounds, refined by taking out one atom at a time: bounds of
/// s0*(384 - 384*s1) are sharper than those of 384*s0 - 384*s0*s1.
Range Guards::rangeOfSum(const Expr &expr, int depth) const {
  Range range{0, 0};
  for (const Term &term : expr.terms())
    range = interval::add(range, rangeOfTerm(term));
  if (depth == 0 || expr.terms().size() < 2 || expr.terms().size() > kMaxTermsToFactor)
    return range;
  std::vector<const Atom *> atoms = distinctAtoms(expr);
  if (atoms.size() > kMaxAtomsToFactor)
    return range;
  for (const Atom *atom : atoms) {
    auto [quotient, rest] = splitByAtom(expr, *atom);
    if (quotient.terms().size() < 2)
      continue;
    Range factored = interval::add(
        interval::multiply(rangeOfAtom(*atom), rangeOfSum(quotient, depth - 1)),
        rangeOfSum(rest, depth - 1));
    range = interval::intersect(range, factored);
  }
  return range;
}

/// Bounds after writing each symbol as its lower bound plus a non-negative symbol:
/// s0*s1 - s0 - s1 + 1 with s0, s1 >= 1 becomes s0*s1, which is not negative.
Range Guards::shiftedRange(const Expr &expr) const {
  std::map<std::string, Expr> shift;
  Guards shifted;
  for (const std::string &symbol : expr.symbols()) {
    Range range = rangeOfSymbol(symbol);
    if (range.min != 0 && range.min > -kMaxShift && range.min < kMaxShift) {
      shift[symbol] = Expr::symbol(symbol) + range.min;
      range = interval::add(range, {-range.min, -range.min});
    }
    shifted.tight_[symbol] = range;
  }
  if (shift.empty())
    return {};
  Expr moved = expr.substitute(shift);
  return moved.overflowed() ? Range() : shifted.rangeOfSum(moved, 1);
}

Range Guards::rangeOf(const Expr &expr) const {
  if (expr.overflowed())
    return {};
  if (std::optional<int64_t> value = expr.constant())
    return {*value, *value};
  Range range = rangeOfSum(expr, kFactorDepth);
  // A single term's bounds are exact; with a decided sign they are good enough.
  if (expr.terms().size() < 2 || range.min > 0 || range.max < 0)
    return range;
  return interval::intersect(range, shiftedRange(expr));
}

// --- Facts
// ----------------------------------------------------------------------------

/// `coefficient * symbol + constant`, where the expression has that form.
struct Linear {
  std::string symbol;
  int64_t coefficient, constant;
};

static std::optional<Linear> asLinear(const Expr &expr) {
  const std::vector<Term> &terms = expr.terms();
  if (terms.empty() || terms.size() > 2 || terms[0].factors.size() != 1 ||
      terms[0].factors[0].second != 1 ||
      terms[0].factors[0].first->kind != AtomKind::Symbol ||
      (terms.size() == 2 && !terms[1].factors.empty()))
    return std::nullopt;
  return Linear{terms[0].factors[0].first->name, terms[0].coefficient,
                terms.size() == 2 ? terms[1].coefficient : 0};
}

/// Narrows a symbol's range by `difference relation 0`; whether that says it all.
bool Guards::tighten(Relation relation, const Expr &difference) {
  std::optional<Linear> linear = asLinear(difference);
  if (!linear || linear->coefficient == INT64_MIN || linear->constant == INT64_MIN)
    return false;
  auto [symbol, c, k] = *linear;
  Range &range = tight_.try_emplace(symbol).first->second;
  // c*s + k == 0, or the bound c*s <= bound for the others.
  if (relation == Relation::Eq || relation == Relation::Ne) {
    if (k % c != 0)
      return true; // never equal: nothing to narrow
    int64_t value = -k / c;
    if (relation == Relation::Eq)
      range = interval::intersect(range, {value, value});
    else if (range.min == value && range.min < range.max)
      ++range.min;
    else if (range.max == value && range.min < range.max)
      --range.max;
    else
      return false; // a hole inside the range stays a fact
    return true;
  }
  int64_t bound = -k;
  if (relation == Relation::Lt && __builtin_sub_overflow(bound, 1, &bound))
    return false;
  Range quotient = interval::floordiv({bound, bound}, {c, c}); // floor(bound / c)
  if (c > 0)
    range = interval::intersect(range, {INT64_MIN, quotient.max});
  else // s >= bound / c, rounded up
    range = interval::intersect(
        range, {bound % c == 0 ? quotient.min : quotient.min + 1, INT64_MAX});
  return true;
}

/// Finds a symbol that `difference == 0` gives as an expression of the others.
bool Guards::solve(const Expr &difference) {
  // From the back: the later symbol is replaced by the earlier one.
  for (size_t i = difference.terms().size(); i-- > 0;) {
    const Term &term = difference.terms()[i];
    if (term.factors.size() != 1 || term.factors[0].second != 1 ||
        term.factors[0].first->kind != AtomKind::Symbol ||
        (term.coefficient != 1 && term.coefficient != -1))
      continue;
    const std::string name = term.factors[0].first->name;
    Expr symbol = Expr::symbol(name);
    Expr value = term.coefficient == 1 ? symbol - difference : symbol + difference;
    if (value.overflowed() || value.symbols().count(name))
      continue;
    if (std::optional<Linear> other = asLinear(value)) {
      // What is known of the replaced symbol holds for the other one.
      Range range = rangeOfSymbol(name);
      if (range.min != INT64_MIN)
        tighten(Relation::Le, Expr(range.min) - value);
      if (range.max != INT64_MAX)
        tighten(Relation::Le, value - Expr(range.max));
    }
    for (auto &entry : solved_)
      entry.second = entry.second.substitute({{name, value}});
    solved_[name] = value;
    return true;
  }
  return false;
}

void Guards::learn(Relation relation, const Expr &lhs, const Expr &rhs) {
  Expr difference = simplify(lhs - rhs);
  if (difference.overflowed() || difference.isConstant())
    return;
  bool said = tighten(relation, difference);
  if (relation == Relation::Eq && solve(difference))
    return;
  if (!said)
    facts_.push_back({relation, difference, Expr(), {}});
}

void Guards::assume(Relation relation, const Expr &lhs, const Expr &rhs) {
  learn(relation, lhs, rhs);
}

void Guards::record(Guard guard) {
  learn(guard.relation, guard.lhs, guard.rhs);
  if (std::find(recorded_.begin(), recorded_.end(), guard) == recorded_.end())
    recorded_.push_back(std::move(guard));
}

/// Bounds of `difference` from facts f < 0, f <= 0: difference <= max(difference - f)
/// plus the bound of f, and difference >= min(difference + f) minus it.
Range Guards::factRange(const Expr &difference) const {
  Range range;
  for (const Guard &fact : facts_) {
    Expr f = simplify(fact.lhs);
    if (fact.relation == Relation::Ne)
      continue;
    if (fact.relation == Relation::Eq) {
      range = interval::intersect(range, rangeOf(difference - f));
      range = interval::intersect(range, rangeOf(difference + f));
      continue;
    }
    int64_t bound = fact.relation == Relation::Lt ? -1 : 0;
    Range above = interval::add(rangeOf(difference - f), {bound, bound});
    Range below = interval::add(rangeOf(difference + f), {-bound, -bound});
    range = interval::intersect(range, {INT64_MIN, above.max});
    range = interval::intersect(range, {below.min, INT64_MAX});
  }
  return range;
}

// --- Simplification
// ---------------------------------------------------------------------

namespace {
struct Simplifier {
  const Guards &guards;
  const std::map<std::string, Expr> &solved;
  Expr constant(int64_t value) { return value; }
  Expr symbol(const std::string &name) {
    auto found = solved.find(name);
    return found == solved.end() ? Expr::symbol(name) : found->second;
  }
  Expr add(const Expr &a, const Expr &b) { return a + b; }
  Expr mul(const Expr &a, const Expr &b) { return a * b; }
  Expr single(const Expr &e) {
    Range range = guards.rangeOf(e);
    return range.min == range.max && range.min != INT64_MIN && range.max != INT64_MAX
               ? Expr(range.min)
               : e;
  }
  Expr floordiv(const Expr &a, const Expr &b) { return single(layout::floordiv(a, b)); }
  Expr mod(const Expr &a, const Expr &b) {
    if (guards.rangeOf(a).min >= 0 && guards.rangeOf(a - b).max < 0)
      return a;
    return single(layout::mod(a, b));
  }
  Expr min(const Expr &a, const Expr &b) {
    Range difference = guards.rangeOf(a - b);
    return difference.max <= 0 ? a : difference.min >= 0 ? b : layout::min(a, b);
  }
  Expr max(const Expr &a, const Expr &b) {
    Range difference = guards.rangeOf(a - b);
    return difference.max <= 0 ? b : difference.min >= 0 ? a : layout::max(a, b);
  }
};

bool hasOnlySymbols(const Expr &expr) {
  for (const Term &term : expr.terms())
    for (const auto &factor : term.factors)
      if (factor.first->kind != AtomKind::Symbol)
        return false;
  return true;
}
} // namespace

Expr Guards::simplify(const Expr &expr) const {
  if (expr.overflowed() || expr.isConstant() ||
      (solved_.empty() && hasOnlySymbols(expr)))
    return expr;
  Simplifier builder{*this, solved_};
  return lower(expr, builder);
}

/// `difference` times a positive constant, with c*floordiv(a, c) written as
/// a - mod(a, c): shows that 4*floordiv(s0, 4) <= s0.
static Expr expandFloorDivs(Expr difference) {
  for (int round = 0; round < 4; ++round) {
    const Atom *found = nullptr;
    for (const Atom *atom : distinctAtoms(difference))
      if (atom->kind == AtomKind::FloorDiv && atom->b.constant().value_or(0) > 0)
        found = atom;
    if (!found)
      break;
    Expr a = found->a, c = found->b;
    auto [quotient, rest] = splitByAtom(difference, *found);
    if (distinctAtoms(quotient).size() && splitByAtom(quotient, *found).first != Expr())
      break; // a square of it
    difference = quotient * (a - mod(a, c)) + rest * c;
  }
  return difference;
}

// --- Answers
// ----------------------------------------------------------------------------

static Answer answerFromRange(Relation relation, Range range) {
  switch (relation) {
  case Relation::Eq:
    return range.min > 0 || range.max < 0     ? Answer::Refuted
           : range.min == 0 && range.max == 0 ? Answer::Proven
                                              : Answer::Open;
  case Relation::Ne:
    return negate(answerFromRange(Relation::Eq, range));
  case Relation::Lt:
    return range.max < 0    ? Answer::Proven
           : range.min >= 0 ? Answer::Refuted
                            : Answer::Open;
  case Relation::Le:
    return range.max <= 0  ? Answer::Proven
           : range.min > 0 ? Answer::Refuted
                           : Answer::Open;
  }
  return Answer::Open;
}

/// 2*s0 + 4*s1 = 3 has no solution: the coefficients' divisor does not divide 3.
static bool isNeverZero(const Expr &difference) {
  int64_t divisor = 0, constant = 0;
  for (const Term &term : difference.terms()) {
    if (term.coefficient == INT64_MIN)
      return false;
    if (term.factors.empty())
      constant = term.coefficient;
    else
      divisor = std::gcd(divisor, term.coefficient);
  }
  return divisor > 1 && constant % divisor != 0;
}

Answer Guards::answerFor(Relation relation, const Expr &difference) const {
  if (difference.overflowed())
    return Answer::Open;
  Answer answer = answerFromRange(relation, rangeOf(difference));
  if (answer != Answer::Open)
    return answer;
  if (relation == Relation::Eq && isNeverZero(difference))
    return Answer::Refuted;
  if (facts_.empty())
    return Answer::Open;
  if (relation == Relation::Eq)
    for (const Guard &fact : facts_) {
      if (fact.relation != Relation::Ne)
        continue;
      Expr f = simplify(fact.lhs);
      if (difference == f || difference == -f)
        return Answer::Refuted;
    }
  return answerFromRange(
      relation, interval::intersect(rangeOf(difference), factRange(difference)));
}

Answer Guards::query(Relation relation, const Expr &lhs, const Expr &rhs) const {
  if (relation == Relation::Ne)
    return negate(query(Relation::Eq, lhs, rhs));
  Expr difference = lhs - rhs;
  if (difference.overflowed())
    return Answer::Open;
  if (std::optional<int64_t> value = difference.constant())
    return answerFromRange(relation, {*value, *value});
  difference = simplify(difference);
  Answer answer = answerFor(relation, difference);
  if (answer != Answer::Open || hasOnlySymbols(difference))
    return answer;
  Expr expanded = simplify(expandFloorDivs(difference));
  return expanded == difference ? answer : answerFor(relation, expanded);
}

std::optional<bool> Guards::holdsForHints(Relation relation, const Expr &lhs,
                                          const Expr &rhs) const {
  std::map<std::string, int64_t> values = hints_;
  for (const Expr *side : {&lhs, &rhs})
    for (const std::string &symbol : side->symbols())
      values.try_emplace(symbol, 2);
  std::optional<int64_t> a = lhs.evaluate(values), b = rhs.evaluate(values);
  if (!a || !b)
    return std::nullopt;
  switch (relation) {
  case Relation::Eq:
    return *a == *b;
  case Relation::Ne:
    return *a != *b;
  case Relation::Lt:
    return *a < *b;
  case Relation::Le:
    return *a <= *b;
  }
  return std::nullopt;
}

bool Guards::decide(Relation relation, const Expr &lhs, const Expr &rhs) {
  Answer answer = query(relation, lhs, rhs);
  if (answer != Answer::Open)
    return answer == Answer::Proven;
  // Without a value (overflow) the relation does not hold; the guard then fails too.
  bool holds = holdsForHints(relation, lhs, rhs).value_or(false);
  Guard guard{relation, lhs, rhs, reason_};
  record(holds ? guard : negated(guard));
  return holds;
}

bool Guards::equal(const Expr &lhs, const Expr &rhs) {
  return decide(Relation::Eq, lhs, rhs);
}
bool Guards::less(const Expr &lhs, const Expr &rhs) {
  return decide(Relation::Lt, lhs, rhs);
}
bool Guards::lessEqual(const Expr &lhs, const Expr &rhs) {
  return decide(Relation::Le, lhs, rhs);
}

} // namespace rtorch::layout
