#include "tests/unit/layout/LayoutTestSupport.h"

#include <random>

using namespace rtorch::layout;

TEST_CASE("expressions print in canonical order") {
  CHECK(e("2 + s1*384*s0").str() == "384*s0*s1 + 2");
  CHECK(e("s10 + s2 - s2*s2").str() == "-s2*s2 + s2 + s10");
  CHECK(e("-(s0 - 3)").str() == "-s0 + 3");
  CHECK(e("0*s0").str() == "0");
  CHECK(e("-s0*s1 - 1").str() == "-s0*s1 - 1");
  CHECK(e("floordiv(1 + s0, 2)").str() == "floordiv(s0 + 1, 2)");
  CHECK(e("-9223372036854775808").str() == "-9223372036854775808");
  CHECK(e("s0 - 9223372036854775807*s1 - s1").str() == "s0 + -9223372036854775808*s1");
}

TEST_CASE("equal polynomials compare equal") {
  CHECK(e("(s0 + 1)*(s0 - 1)") == e("s0*s0 - 1"));
  CHECK(e("s0*(s1 + s2)") == e("s2*s0 + s1*s0"));
  CHECK(e("s0 - s0") == Expr(0));
  CHECK(e("(s0 + s1)*(s0 + s1)").hash() == e("s0*s0 + 2*s0*s1 + s1*s1").hash());
  CHECK(e("s0") != e("s1"));
  CHECK((e("s0") < e("s1")) != (e("s1") < e("s0")));
}

TEST_CASE("floordiv folds where exact") {
  CHECK(e("floordiv(6*s0, 3)") == e("2*s0"));
  CHECK(e("floordiv(s0*s1*384, 384)") == e("s0*s1"));
  CHECK(e("floordiv(s0*s1*384, s1)") == e("384*s0"));
  CHECK(e("floordiv(384*s0*s1 + 7, 384)") == e("s0*s1"));
  CHECK(e("floordiv(7*s0 + 5, 3)").str() == "2*s0 + floordiv(s0 + 2, 3) + 1");
  CHECK(e("floordiv(s0 + 2 - 3, 2) + 1") == e("floordiv(s0 + 1, 2)"));
  CHECK(e("floordiv(4*s0 + 6, 8)") == e("floordiv(2*s0 + 3, 4)"));
  CHECK(e("floordiv(s0*s1, 2*s0)") == e("floordiv(s1, 2)"));
  CHECK(e("floordiv((s0 + 1)*(s1 + 2), s0 + 1)") == e("s1 + 2"));
  CHECK(e("floordiv(floordiv(s0, 2) + 1, 3)") == e("floordiv(s0 + 2, 6)"));
  CHECK(e("floordiv(s0, 1)") == e("s0"));
  CHECK(e("floordiv(s0, -1)") == e("-s0"));
  CHECK(e("floordiv(-7, 2)") == Expr(-4));
  CHECK(e("floordiv(7, -2)") == Expr(-4));
  CHECK(e("ceildiv(7, 2)") == Expr(4));
  CHECK(e("ceildiv(4*s0, 2)") == e("2*s0"));
  CHECK(e("floordiv(3, 0)").str() == "floordiv(3, 0)");
}

TEST_CASE("mod folds where exact") {
  CHECK(e("mod(6*s0, 3)") == Expr(0));
  CHECK(e("mod(384*s0*s1, s0)") == Expr(0));
  CHECK(e("mod(7*s0 + 5, 3)") == e("mod(s0 + 2, 3)"));
  CHECK(e("mod(4*s0, 6)") == e("2*mod(2*s0, 3)"));
  CHECK(e("mod(-7, 3)") == Expr(2));
  CHECK(e("mod(7, -3)") == Expr(-2));
  CHECK(e("mod(mod(s0, 12) + s1, 4)") == e("mod(s0 + s1, 4)"));
  CHECK(e("mod((s0 + 1)*s1, s0 + 1)") == Expr(0));
}

TEST_CASE("min and max fold and are canonical") {
  CHECK(e("min(3, 5)") == Expr(3));
  CHECK(e("max(s0, s0)") == e("s0"));
  CHECK(e("min(s0 + 2, s0 - 1)") == e("s0 - 1"));
  CHECK(e("max(s1, s0)") == e("max(s0, s1)"));
  CHECK(e("max(s0, min(s0, s1))") == e("s0"));
  CHECK(e("min(max(s1, s0 + 1), s1)") == e("s1"));
  CHECK(e("min(min(s2, 4), min(s0, 7))") == e("min(s0, min(4, s2))"));
}

TEST_CASE("overflow is kept and printed") {
  Expr big = INT64_MAX;
  CHECK((big + 1).overflowed());
  CHECK((big * e("s0") * 2).overflowed());
  CHECK((Expr(INT64_MIN) * -1).overflowed());
  CHECK(((big + 1) - big).overflowed());
  CHECK((big + 1).str() == "overflow");
  CHECK(e("overflow").overflowed());
  CHECK(e("9223372036854775808").overflowed());
  CHECK(floordiv(big + 1, 2).overflowed());
  CHECK_FALSE((big + 1).constant());
  CHECK_FALSE((big + 1).evaluate({}));
  CHECK_FALSE((big * e("s0")).evaluate({{"s0", 2}}));
  CHECK(floordiv(INT64_MIN, -1).overflowed());
}

TEST_CASE("hostile expressions overflow instead of exploding") {
  Expr power = e("s0 + s1 + s2 + s3 + s4 + s5"), nested = e("s0");
  for (int i = 0; i < 40; ++i)
    power *= power;
  CHECK(power.overflowed());
  for (int i = 0; i < 1000; ++i)
    nested = floordiv(nested + e("s1"), nested + 7);
  CHECK(nested.overflowed());
  CHECK_FALSE(Expr::parse(std::string(100000, '(')));
  std::string deep;
  for (int i = 0; i < 100000; ++i)
    deep += "min(s0,";
  CHECK_FALSE(Expr::parse(deep));
}

TEST_CASE("syntax errors are found") {
  for (const char *text :
       {"", "+", "s0 +", "s0 s1", "(s0", "s0)", "min(s0)", "min(s0, 1", "foo(s0, 1)",
        "3x", "s0 // 2", "*s0", "min(s0, 1, 2)", "é"})
    CHECK_FALSE(Expr::parse(text));
}

TEST_CASE("symbols, substitution and evaluation") {
  Expr x = e("384*s0*s1 + max(s2, 3)");
  CHECK(x.symbols() == std::set<std::string>{"s0", "s1", "s2"});
  CHECK(x.substitute({{"s2", e("s0 + 3")}, {"s0", e("2")}}) ==
        e("768*s1 + max(s0 + 3, 3)"));
  CHECK(x.evaluate({{"s0", 2}, {"s1", 3}, {"s2", 1}}) == 2307);
  CHECK_FALSE(x.evaluate({{"s0", 2}}));
  CHECK_FALSE(e("floordiv(1, s0)").evaluate({{"s0", 0}}));
  CHECK(e("mod(-s0, 4)").evaluate({{"s0", 1}}) == 3);
  CHECK(e("s0").symbolName() == "s0");
  CHECK_FALSE(e("s0 + 1").symbolName());
  CHECK_FALSE(e("2*s0").symbolName());
}

namespace {
/// A random expression beside its value, computed without folding.
struct Sample {
  Expr expr;
  int64_t value;
};

Sample randomSample(std::mt19937 &random, int depth,
                    const std::map<std::string, int64_t> &values) {
  auto pick = [&](int n) {
    return static_cast<int>(random() % static_cast<unsigned>(n));
  };
  if (depth == 0 || pick(5) == 0) {
    if (pick(2)) {
      int64_t number = pick(13) - 6;
      return {number, number};
    }
    auto symbol = std::next(values.begin(), pick(static_cast<int>(values.size())));
    return {Expr::symbol(symbol->first), symbol->second};
  }
  Sample a = randomSample(random, depth - 1, values);
  Sample b = randomSample(random, depth - 1, values);
  auto floorDivide = [](int64_t x, int64_t y) {
    return x / y - (x % y != 0 && (x < 0) != (y < 0) ? 1 : 0);
  };
  switch (pick(7)) {
  case 0:
    return {a.expr + b.expr, a.value + b.value};
  case 1:
    return {a.expr - b.expr, a.value - b.value};
  case 2:
    return {a.expr * b.expr, a.value * b.value};
  case 3:
    return {min(a.expr, b.expr), std::min(a.value, b.value)};
  case 4:
    return {max(a.expr, b.expr), std::max(a.value, b.value)};
  case 5:
    return b.value == 0
               ? a
               : Sample{floordiv(a.expr, b.expr), floorDivide(a.value, b.value)};
  default:
    return b.value == 0 ? a
                        : Sample{mod(a.expr, b.expr),
                                 a.value - b.value * floorDivide(a.value, b.value)};
  }
}
} // namespace

TEST_CASE("folding keeps the value, printing the expression") {
  std::mt19937 random(1);
  std::map<std::string, int64_t> values;
  for (int i = 0; i < 20000; ++i) {
    for (const char *name : {"s0", "s1", "s2"})
      values[name] = static_cast<int64_t>(random() % 9) + 1;
    Sample sample = randomSample(random, 5, values);
    INFO(sample.expr.str());
    std::optional<Expr> read = Expr::parse(sample.expr.str());
    REQUIRE(read);
    REQUIRE(read->str() == sample.expr.str());
    REQUIRE(*read == sample.expr);
    REQUIRE(read->hash() == sample.expr.hash());
    // Values near int64's limits may overflow on the way; small ones must be right.
    if (std::abs(sample.value) < 1000000)
      if (std::optional<int64_t> value = sample.expr.evaluate(values))
        REQUIRE(*value == sample.value);
  }
}
