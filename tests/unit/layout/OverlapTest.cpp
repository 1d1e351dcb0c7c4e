#include "tests/unit/layout/LayoutTestSupport.h"

using namespace rtorch::layout;

TEST_CASE("the touched range") {
  Guards g = batchAndSequence();
  auto range = touchedRange(make({"s0", "s1"}, {"2*s1", "2"}, "5"), g);
  REQUIRE(range);
  CHECK(range->first == Expr(5));
  CHECK(range->second == e("2*s0*s1 + 3"));
  CHECK_FALSE(touchedRange(make({"s0", "0"}, {"1", "1"}), g));
  CHECK(touchedRange(make({}, {}, "7"), g)->second == Expr(7));
}

TEST_CASE("overlap of constant layouts is exact") {
  Guards g;
  auto x = [](const char *columns, const char *offset) {
    return make({"4", columns}, {"8", "1"}, offset);
  };
  CHECK(mayOverlap(x("4", "0"), x("4", "4"), g) == Answer::Refuted);
  CHECK(mayOverlap(x("4", "0"), x("4", "3"), g) == Answer::Proven);
  CHECK(mayOverlap(make({"5"}, {"2"}), make({"5"}, {"2"}, "1"), g) == Answer::Refuted);
  CHECK(mayOverlap(make({"5"}, {"2"}), make({"5"}, {"3"}, "1"), g) == Answer::Proven);
  CHECK(mayOverlap(make({"0"}, {"1"}), make({"5"}, {"1"}), g) == Answer::Refuted);
  CHECK(mayOverlap(make({"1000000", "1000000"}, {"2000000", "2"}),
                   make({"1000000", "1000000"}, {"2000000", "2"}, "1"),
                   g) == Answer::Refuted);
}

TEST_CASE("slices of symbolic tensors") {
  Guards g = batchAndSequence();
  Layout x = rowMajor({"s0", "s1", "384"});
  Layout left = sliceDim(x, 2, 0, 192, 1, g), right = sliceDim(x, 2, 192, 384, 1, g);
  CHECK(mayOverlap(left, right, g) == Answer::Refuted);
  CHECK(mayOverlap(right, left, g) == Answer::Refuted);
  CHECK(mayOverlap(left, sliceDim(x, 2, 100, 384, 1, g), g) == Answer::Open);
  CHECK(mayOverlap(left, x, g) == Answer::Proven);
  Layout first = sliceDim(x, 1, 0, 1, 1, g);
  Layout flat = rowMajor({"s0*s1", "384"});
  CHECK(mayOverlap(selectIndex(flat, 0, 0), sliceDim(flat, 0, 1, INT64_MAX, 1, g), g) ==
        Answer::Refuted);
  CHECK(mayOverlap(first, x, g) == Answer::Proven);
  CHECK(g.recorded().empty());
}
