// Random symbolic layouts: what is computed once for symbols must be what the (exact)
// rules for numbers give, for all values that satisfy the recorded guards.
#include "tests/unit/layout/LayoutTestSupport.h"

#include <algorithm>
#include <functional>
#include <random>

using namespace rtorch::layout;

namespace {

using Values = std::map<std::string, int64_t>;

struct Generator {
  std::mt19937 random;
  int64_t pick(int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  }
  Expr size() {
    static const std::vector<const char *> choices{"s0", "s1", "s0", "s1", "s2",
                                                   "1",  "2",  "3",  "4",  "2*s0"};
    return e(choices[static_cast<size_t>(pick(static_cast<int64_t>(choices.size())))]);
  }
  /// Dense in a random order, sometimes with a gap or expanded.
  Layout layout(const Dims &sizes) {
    std::vector<size_t> order;
    for (size_t i = sizes.size(); i-- > 0;)
      order.push_back(i);
    if (pick(2))
      std::shuffle(order.begin(), order.end(), random);
    Layout x{sizes, Dims(sizes.size()), 0};
    Expr next = 1;
    for (size_t dim : order) {
      x.strides[dim] = pick(20) == 0 ? Expr(0) : next;
      next *= sizes[dim];
      if (pick(10) == 0)
        next *= 2;
    }
    return x;
  }
  Layout layout() {
    Dims sizes;
    for (int64_t rank = pick(4) + 1; rank > 0; --rank)
      sizes.push_back(size());
    return layout(sizes);
  }
};

Dims evaluate(const Dims &dims, const Values &values) {
  Dims result;
  for (const Expr &dim : dims) {
    REQUIRE(dim.evaluate(values));
    result.push_back(*dim.evaluate(values));
  }
  return result;
}

Layout evaluate(const Layout &x, const Values &values) {
  return {evaluate(x.sizes, values), evaluate(x.strides, values),
          *x.offset.evaluate(values)};
}

bool satisfies(const Guards &guards, const Values &values) {
  return std::all_of(
      guards.recorded().begin(), guards.recorded().end(), [&](const Guard &guard) {
        auto a = guard.lhs.evaluate(values), b = guard.rhs.evaluate(values);
        switch (guard.relation) {
        case Relation::Eq:
          return a == b;
        case Relation::Ne:
          return a != b;
        case Relation::Lt:
          return a < b;
        default:
          return a <= b;
        }
      });
}

/// Equal on the dims of size 2 and more.
bool sameAddresses(const Dims &sizes, const Dims &a, const Dims &b) {
  for (size_t i = 0; i < sizes.size(); ++i)
    if (*sizes[i].constant() > 1 && a[i] != b[i])
      return false;
  return true;
}

/// A rule for layouts, symbolic or not.
using Rule =
    std::function<std::optional<Dims>(std::span<const Layout>, const Dims &, Guards &)>;

struct Counts {
  int cases = 0, guarded = 0, compared = 0;
};

/// Applies the rule to symbols, then compares it with itself on numbers.
void check(const std::vector<Layout> &operands, const Dims &sizes, const Rule &rule,
           Generator &generator, Counts &counts) {
  Guards guards;
  guards.declare("s0", {1, 5}, 3);
  guards.declare("s1", {1, 6}, 4);
  guards.declare("s2", {2, 7}, 5);
  std::optional<Dims> symbolic = rule(operands, sizes, guards);
  ++counts.cases;
  counts.guarded += !guards.recorded().empty();
  for (int i = 0; i < 12; ++i) {
    Values values{{"s0", generator.pick(5) + 1},
                  {"s1", generator.pick(6) + 1},
                  {"s2", generator.pick(6) + 2}};
    if (i < 4)
      values["s0"] = i % 2 + 1, values["s1"] = i / 2 + 1;
    if (!satisfies(guards, values))
      continue;
    Guards none;
    std::vector<Layout> numeric;
    for (const Layout &x : operands)
      numeric.push_back(evaluate(x, values));
    Dims numericSizes = evaluate(sizes, values);
    std::optional<Dims> expected = rule(numeric, numericSizes, none);
    INFO(str(operands[0].sizes)
         << " " << str(operands[0].strides) << " to " << str(sizes) << " at "
         << values["s0"] << " " << values["s1"] << " " << values["s2"]);
    REQUIRE(expected.has_value() == symbolic.has_value());
    if (!expected)
      continue;
    INFO(str(*symbolic) << " gives " << str(evaluate(*symbolic, values))
                        << ", expected " << str(*expected));
    REQUIRE(sameAddresses(numericSizes, evaluate(*symbolic, values), *expected));
    ++counts.compared;
  }
}

} // namespace

TEST_CASE("symbolic pointwise and preserved strides hold for all values") {
  Generator generator{std::mt19937(11)};
  Counts counts;
  for (int i = 0; i < 1500; ++i) {
    std::vector<Layout> operands{generator.layout()};
    Dims sizes = operands[0].sizes;
    for (int64_t more = generator.pick(3); more > 0; --more) {
      Dims own = sizes;
      own.erase(own.begin(), own.begin() + generator.pick(2));
      for (Expr &size : own)
        if (generator.pick(4) == 0)
          size = 1;
      operands.push_back(generator.layout(own));
    }
    std::shuffle(operands.begin(), operands.end(), generator.random);
    check(
        operands, sizes,
        [](std::span<const Layout> xs, const Dims &result, Guards &g) {
          return std::optional<Dims>(pointwiseStrides(result, xs, g));
        },
        generator, counts);
    check(
        {generator.layout(sizes)}, sizes,
        [](std::span<const Layout> xs, const Dims &, Guards &g) {
          return std::optional<Dims>(preserveStrides(xs[0], g));
        },
        generator, counts);
  }
  // Almost all are decided without a guard.
  CHECK(counts.guarded * 100 < counts.cases);
  CHECK(counts.compared > 20000);
}

TEST_CASE("symbolic views hold for all values") {
  Generator generator{std::mt19937(12)};
  Counts counts;
  for (int i = 0; i < 2000; ++i) {
    Layout x = generator.layout();
    Dims sizes = x.sizes;
    if (sizes.size() > 1) { // merge neighbours
      auto at =
          static_cast<size_t>(generator.pick(static_cast<int64_t>(sizes.size()) - 1));
      sizes[at] *= sizes[at + 1];
      sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    if (generator.pick(3) == 0)
      sizes.insert(sizes.begin() +
                       generator.pick(static_cast<int64_t>(sizes.size()) + 1),
                   Expr(1));
    check(
        {x}, sizes,
        [](std::span<const Layout> xs, const Dims &result,
           Guards &g) -> std::optional<Dims> {
          std::optional<Layout> view = viewAs(xs[0], result, g);
          return view ? std::optional<Dims>(view->strides) : std::nullopt;
        },
        generator, counts);
  }
  CHECK(counts.guarded * 4 < counts.cases);
  CHECK(counts.compared > 5000);
}

TEST_CASE("symbolic predicates hold for all values") {
  Generator generator{std::mt19937(13)};
  Counts counts;
  auto one = [](bool value) { return std::optional<Dims>(Dims{Expr(value ? 1 : 0)}); };
  for (int i = 0; i < 1500; ++i) {
    Layout x = generator.layout();
    if (generator.pick(2))
      x = generator.layout(
          {generator.size(), generator.size(), generator.size(), generator.size()});
    // Compared as the stride of one dim of size 2.
    for (int kind = 0; kind < 4; ++kind)
      check(
          {x}, {Expr(2)},
          [&](std::span<const Layout> xs, const Dims &, Guards &g) {
            return one(kind == 0   ? isContiguous(xs[0], g)
                       : kind == 1 ? isDense(xs[0], g)
                       : kind == 2
                           ? suggestMemoryFormat(xs[0], g) == MemoryFormat::ChannelsLast
                           : isContiguous(xs[0], MemoryFormat::ChannelsLast, g));
          },
          generator, counts);
  }
  CHECK(counts.compared > 20000);
}
