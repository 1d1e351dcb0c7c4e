#include "tests/unit/layout/LayoutTestSupport.h"

#include <random>

using namespace rtorch::layout;

TEST_CASE("questions that shapes ask are answered without guards") {
  Guards g = batchAndSequence();
  auto query = [&](Relation r, const char *a, const char *b) {
    return g.query(r, e(a), e(b));
  };
  CHECK(query(Relation::Lt, "s0*384", "s0*s1*384") == Answer::Proven);
  CHECK(query(Relation::Eq, "s1*384", "384") == Answer::Refuted);
  CHECK(query(Relation::Eq, "s1", "1") == Answer::Refuted);
  CHECK(query(Relation::Eq, "s0", "1") == Answer::Open);
  CHECK(query(Relation::Ne, "s0", "0") == Answer::Proven);
  CHECK(query(Relation::Le, "s0", "s0*s1") == Answer::Proven);
  CHECK(query(Relation::Eq, "2*s0", "3") == Answer::Refuted);
  CHECK(query(Relation::Eq, "2*s0 + 4*s1", "6*s0 + 3") == Answer::Refuted);
  CHECK(query(Relation::Lt, "s0*s1", "0") == Answer::Refuted);
  CHECK(query(Relation::Le, "s0 + s1", "s0*s1 + 1") == Answer::Proven);
  CHECK(query(Relation::Le, "4*floordiv(s1, 4)", "s1") == Answer::Proven);
  CHECK(query(Relation::Eq, "4*floordiv(s1, 4) + mod(s1, 4)", "s1") == Answer::Proven);
  CHECK(query(Relation::Le, "min(s1, 512)", "512") == Answer::Proven);
  CHECK(query(Relation::Eq, "max(s1, 1)", "s1") == Answer::Proven);
  CHECK(query(Relation::Eq, "max(s0, 1)*32", "32*s0") == Answer::Proven);
  CHECK(query(Relation::Eq, "overflow", "overflow") == Answer::Open);
  CHECK(g.recorded().empty());
}

TEST_CASE("bounds are exact for monotone expressions and saturate") {
  Guards g = batchAndSequence();
  g.declare("u0", {0, INT64_MAX});
  CHECK(g.rangeOf(e("s0*s1")) == Range{2, 64 * 512});
  CHECK(g.rangeOf(e("384*s0*s1 - 384*s0")) == Range{384, 384 * 64 * 511});
  CHECK(g.rangeOf(e("floordiv(s1, 3)")) == Range{0, 170});
  CHECK(g.rangeOf(e("mod(s1, 3)")) == Range{0, 2});
  CHECK(g.rangeOf(e("max(s0, s1)")) == Range{2, 512});
  CHECK(g.rangeOf(e("u0*u0 + 1")) == Range{1, INT64_MAX});
  CHECK(g.rangeOf(e("-3*u0")) == Range{INT64_MIN, 0});
  CHECK(g.rangeOf(e("x*x")) == Range{0, INT64_MAX});
  CHECK(g.rangeOf(e("x")) == Range{});
  CHECK(g.simplify(e("min(s0, 100) + floordiv(s0, 65)")) == e("s0"));
}

TEST_CASE("open questions follow the hints and are recorded once") {
  Guards g = batchAndSequence();
  g.setReason("view of [s0, 6]");
  CHECK_FALSE(g.equal(e("s0"), 1));
  CHECK_FALSE(g.equal(e("s0"), 1));
  CHECK_FALSE(g.equal(1, e("s0")));
  REQUIRE(g.recorded().size() == 1);
  CHECK(g.recorded()[0] == Guard{Relation::Ne, e("s0"), 1, "view of [s0, 6]"});
  CHECK(g.query(Relation::Lt, 1, e("s0")) == Answer::Proven);
  CHECK(g.ranges().at("s0") == Range{1, 64}); // as declared

  CHECK(g.less(e("s0"), e("s1")));
  CHECK(g.query(Relation::Le, e("s0 + 1"), e("s1")) == Answer::Proven);
  CHECK(g.query(Relation::Eq, e("s0"), e("s1")) == Answer::Refuted);
  CHECK_FALSE(g.lessEqual(e("s1"), e("9")));
  CHECK(g.recorded().back() == Guard{Relation::Lt, 9, e("s1"), "view of [s0, 6]"});
  CHECK(g.query(Relation::Le, 10, e("s1")) == Answer::Proven);
}

TEST_CASE("equalities that are taken for granted are put in") {
  Guards g;
  g.declare("s0", {1, 64}, 4);
  g.declare("s1", {2, 32}, 8);
  g.assume(Relation::Eq, e("s1"), e("2*s0"));
  CHECK(g.query(Relation::Eq, e("s1*s1"), e("4*s0*s0")) == Answer::Proven);
  CHECK(g.query(Relation::Lt, e("s0"), e("s1")) == Answer::Proven);
  CHECK(g.query(Relation::Le, e("s0"), 16) == Answer::Proven);
  CHECK(g.simplify(e("s1 + 1")) == e("2*s0 + 1"));
  g.assume(Relation::Eq, e("s0"), 3);
  CHECK(g.simplify(e("s1")) == Expr(6));
  CHECK(g.rangeOf(e("s0")) == Range{3, 3});
  CHECK(g.recorded().empty());
}

TEST_CASE("hints default to the smallest value from 2 on") {
  Guards g;
  g.declare("a", {0, 10});
  g.declare("b", {5, 10});
  g.declare("c", {0, 1});
  g.declare("d", {0, 10}, 99);
  CHECK(g.holdsForHints(Relation::Eq, e("a"), 2) == true);
  CHECK(g.holdsForHints(Relation::Eq, e("b"), 5) == true);
  CHECK(g.holdsForHints(Relation::Eq, e("c"), 1) == true);
  CHECK(g.holdsForHints(Relation::Eq, e("d"), 2) == true);
  CHECK(g.holdsForHints(Relation::Eq, e("undeclared"), 2) == true);
  CHECK_FALSE(g.holdsForHints(Relation::Eq, e("floordiv(1, a - 2)"), 2));
}

namespace {
Expr randomExpr(std::mt19937 &random, int depth) {
  unsigned kind = random() % 9;
  if (depth == 0 || kind > 6)
    return random() % 3 ? Expr::symbol(random() % 2 ? "s0" : "s1")
                        : Expr(static_cast<int64_t>(random() % 11) - 5);
  Expr a = randomExpr(random, depth - 1), b = randomExpr(random, depth - 1);
  switch (kind) {
  case 0:
    return a - b;
  case 1:
  case 2:
    return a * b;
  case 3:
    return min(a, b);
  case 4:
    return max(a, b);
  case 5:
    return floordiv(a, static_cast<int64_t>(random() % 4) + 1);
  default:
    return mod(a, static_cast<int64_t>(random() % 4) + 1);
  }
}

bool holds(Relation relation, int64_t a, int64_t b) {
  return relation == Relation::Eq   ? a == b
         : relation == Relation::Ne ? a != b
         : relation == Relation::Lt ? a < b
                                    : a <= b;
}
} // namespace

TEST_CASE("answers, bounds and simplification hold for all values") {
  std::mt19937 random(3);
  int decided = 0;
  for (int round = 0; round < 4000; ++round) {
    Guards g;
    int64_t low[2], high[2];
    for (int i = 0; i < 2; ++i) {
      low[i] = static_cast<int64_t>(random() % 4) - 1;
      high[i] = low[i] + static_cast<int64_t>(random() % 6);
      g.declare(i == 0 ? "s0" : "s1", {low[i], high[i]});
    }
    // A fact that holds for some values; only those count below.
    Expr factLeft = randomExpr(random, 1), factRight = randomExpr(random, 1);
    auto fact = static_cast<Relation>(random() % 4);
    if (round % 2 && g.query(fact, factLeft, factRight) == Answer::Open)
      g.assume(fact, factLeft, factRight);
    else
      factLeft = factRight = 0, fact = Relation::Eq;
    Expr a = randomExpr(random, 3), b = randomExpr(random, 3), simple = g.simplify(a);
    auto relation = static_cast<Relation>(random() % 4);
    Answer answer = g.query(relation, a, b);
    decided += answer != Answer::Open;
    Range range = g.rangeOf(a);
    for (int64_t x = low[0]; x <= high[0]; ++x)
      for (int64_t y = low[1]; y <= high[1]; ++y) {
        std::map<std::string, int64_t> values{{"s0", x}, {"s1", y}};
        if (!holds(fact, *factLeft.evaluate(values), *factRight.evaluate(values)))
          continue;
        INFO(a.str() << " ? " << b.str() << " at " << x << ", " << y << " knowing "
                     << factLeft.str() << " ? " << factRight.str());
        int64_t va = *a.evaluate(values), vb = *b.evaluate(values);
        REQUIRE(range.min <= va);
        REQUIRE(va <= range.max);
        REQUIRE(simple.evaluate(values) == va);
        if (answer != Answer::Open)
          REQUIRE(holds(relation, va, vb) == (answer == Answer::Proven));
      }
  }
  CHECK(decided > 1000);
}
