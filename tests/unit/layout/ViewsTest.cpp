#include "tests/unit/layout/LayoutTestSupport.h"

using namespace rtorch::layout;

static Layout viewed(const Layout &x, std::initializer_list<std::string_view> sizes,
                     Guards &g) {
  std::optional<Layout> view = viewAs(x, dims(sizes), g);
  REQUIRE(view);
  return *view;
}

TEST_CASE("symbolic views of row-major tensors need no guard") {
  Guards g = batchAndSequence();
  Layout x = rowMajor({"s0", "s1", "384"});
  CHECK(str(viewed(x, {"s0", "s1", "12", "32"}, g).strides) == "[384*s1, 384, 32, 1]");
  CHECK(str(viewed(x, {"s0*s1", "384"}, g).strides) == "[384, 1]");
  CHECK(str(viewed(x, {"384*s0*s1"}, g).strides) == "[1]");
  CHECK(str(viewed(x, {"floordiv(s0*s1*384, 384)", "1", "384"}, g).sizes) ==
        "[s0*s1, 1, 384]");
  CHECK_FALSE(viewAs(x, dims({"s0", "s1", "383"}), g));
  CHECK(g.recorded().empty());
}

TEST_CASE("symbolic views of permuted tensors need no guard where evident") {
  Guards g = batchAndSequence();
  Layout heads = make({"s0", "12", "s1", "32"}, {"384*s1", "32", "384", "1"});
  Layout back = permuteDims(heads, std::vector<int64_t>{0, 2, 1, 3});
  CHECK(str(viewed(back, {"s0", "s1", "384"}, g).strides) == "[384*s1, 384, 1]");
  CHECK(str(viewed(back, {"s0*s1", "384"}, g).strides) == "[384, 1]");
  CHECK(str(viewed(heads, {"s0", "12", "s1", "4", "8"}, g).strides) ==
        "[384*s1, 32, 384, 8, 1]");
  CHECK(str(viewed(heads, {"s0", "3", "4", "s1", "32"}, g).strides) ==
        "[384*s1, 128, 32, 384, 1]");
  CHECK_FALSE(viewAs(heads, dims({"s0", "s1", "384"}), g));
  CHECK(g.recorded().empty());
}

TEST_CASE("views that add or drop dims of size 1 need no guard") {
  Guards g = batchAndSequence();
  Layout x = make({"8", "s1", "4", "1"}, {"6", "1", "48", "s1"});
  CHECK(str(viewed(x, {"8", "s1", "4"}, g).strides) == "[6, 1, 48]");
  CHECK(str(viewed(x, {"8", "1", "s1", "4"}, g).strides) == "[6, s1, 1, 48]");
  CHECK(g.recorded().empty());
}

TEST_CASE("a view that only batch 1 has is open") {
  Guards g = batchAndSequence();
  Layout heads = make({"s0", "12", "s1", "32"}, {"384*s1", "32", "384", "1"});
  Dims sizes = dims({"12*s0", "s1", "32"});
  CHECK(queryView(heads, sizes, g) == Answer::Open);
  CHECK(queryView(rowMajor({"s0", "s1"}), dims({"s0*s1"}), g) == Answer::Proven);
  CHECK(queryView(make({"2", "3"}, {"1", "2"}), dims({"6"}), g) == Answer::Refuted);
  CHECK(g.recorded().empty());
  CHECK_FALSE(viewAs(heads, sizes, g));
  REQUIRE(g.recorded().size() == 1);
  CHECK(g.recorded()[0].relation == Relation::Ne);
}

TEST_CASE("views whose sizes must match record that") {
  Guards g = batchAndSequence();
  CHECK(viewAs(rowMajor({"s0", "6"}), dims({"8", "6"}), g));
  REQUIRE(g.recorded().size() == 1);
  CHECK(g.recorded()[0].relation == Relation::Eq);
  CHECK(g.query(Relation::Eq, e("s0"), 8) == Answer::Proven);
}

TEST_CASE("symbolic slices clamp where the ranges do not decide") {
  Guards g = batchAndSequence();
  Layout x = rowMajor({"s0", "s1", "384"});
  CHECK(sliceDim(x, 1, 0, INT64_MAX, 1, g) == x);
  Layout first = sliceDim(x, 1, 0, 1, 1, g);
  CHECK(str(first.sizes) == "[s0, 1, 384]");
  Layout rest = sliceDim(x, 1, 1, INT64_MAX, 1, g);
  CHECK(str(rest.sizes) == "[s0, s1 - 1, 384]");
  CHECK(rest.offset == e("384"));
  Layout last = sliceDim(x, 1, -1, INT64_MAX, 1, g);
  CHECK(str(last.sizes) == "[s0, 1, 384]");
  CHECK(last.offset == e("384*s1 - 384"));
  Layout clamped = sliceDim(x, 1, 0, 100, 1, g);
  CHECK(clamped.sizes[1] == e("min(s1, 100)"));
  Layout step = sliceDim(x, 1, 0, INT64_MAX, 2, g);
  CHECK(step.sizes[1] == e("floordiv(s1 + 1, 2)"));
  CHECK(step.strides[1] == Expr(768));
  // A table of 512 rows is cut to the sequence's length.
  Layout table = sliceDim(rowMajor({"1", "512"}), 1, 0, e("s1"), 1, g);
  CHECK(str(table.sizes) == "[1, s1]");
  CHECK(g.recorded().empty());
}

TEST_CASE("expand, select, squeeze and unsqueeze of symbolic tensors") {
  Guards g = batchAndSequence();
  Layout mask = rowMajor({"s0", "s1"});
  Layout four = unsqueezeDim(unsqueezeDim(mask, 1), 2);
  CHECK(str(four.strides) == "[s1, s1, s1, 1]");
  std::optional<Layout> wide = expandTo(four, dims({"-1", "12", "s1", "s1"}), g);
  REQUIRE(wide);
  CHECK(str(wide->sizes) == "[s0, 12, s1, s1]");
  CHECK(str(wide->strides) == "[s1, 0, 0, 1]");
  CHECK_FALSE(expandTo(four, dims({"s0", "12", "s1"}), g));
  CHECK_FALSE(expandTo(mask, dims({"s0", "s1 + 1"}), g));
  CHECK_FALSE(expandTo(mask, dims({"-1", "s0", "s1"}), g));
  CHECK(squeezeDims(four, std::vector<int64_t>{1, 2}, g) == mask);
  CHECK(selectIndex(mask, 1, e("s1 - 1")).offset == e("s1 - 1"));
  CHECK(g.recorded().empty());
  CHECK(squeezeDims(mask, std::vector<int64_t>{0}, g) == mask);
  CHECK(g.recorded().size() == 1);
}

TEST_CASE("diagonal and unfold of symbolic tensors") {
  Guards g = batchAndSequence();
  Layout square = rowMajor({"s0", "s1", "s1"});
  Layout diagonal = diagonalOf(square, 1, 1, 2, g);
  CHECK(str(diagonal.sizes) == "[s0, s1 - 1]");
  CHECK(str(diagonal.strides) == "[s1*s1, s1 + 1]");
  CHECK(diagonal.offset == Expr(1));
  Layout windows = unfoldDim(rowMajor({"s1"}), 0, 2, 2);
  CHECK(str(windows.sizes) == "[floordiv(s1, 2), 2]");
  CHECK(str(windows.strides) == "[2, 1]");
  CHECK(str(unfoldDim(rowMajor({}), 0, 1, 1).sizes) == "[1]");
  CHECK(g.recorded().empty());
}
