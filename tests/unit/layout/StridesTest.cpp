#include "tests/unit/layout/LayoutTestSupport.h"

using namespace rtorch::layout;

TEST_CASE("contiguous and channels_last strides") {
  CHECK(str(contiguousStrides(dims({"2", "0", "3"}))) == "[3, 3, 1]");
  CHECK(str(contiguousStrides(dims({"s0", "s1", "384"}))) == "[384*s1, 384, 1]");
  CHECK(str(contiguousStrides({})) == "[]");
  CHECK(str(stridesOf(MemoryFormat::ChannelsLast, dims({"2", "3", "4", "5"}))) ==
        "[60, 1, 15, 3]");
  CHECK(str(stridesOf(MemoryFormat::ChannelsLast3d, dims({"2", "3", "4", "5", "6"}))) ==
        "[360, 1, 90, 18, 3]");
  CHECK(numel(dims({"s0", "3", "s0"})) == e("3*s0*s0"));
}

TEST_CASE("row-major symbolic tensors are contiguous whatever the sizes are") {
  Guards g;
  g.declare("s0", {0, 64});
  g.declare("s1", {0, 512});
  Layout x = rowMajor({"s0", "s1", "384"});
  CHECK(isContiguous(x, g));
  CHECK(isDense(x, g));
  Layout y = x;
  CHECK(str(pointwiseStrides(x.sizes, std::vector{x, y}, g)) == "[384*s1, 384, 1]");
  CHECK(str(preserveStrides(x, g)) == "[384*s1, 384, 1]");
  CHECK(g.recorded().empty());
}

TEST_CASE("a permuted symbolic tensor keeps its order") {
  Guards g = batchAndSequence();
  Layout heads = make({"s0", "12", "s1", "32"}, {"384*s1", "32", "384", "1"});
  CHECK_FALSE(isContiguous(heads, g));
  CHECK(isDense(heads, g));
  CHECK(pointwiseStrides(heads.sizes, std::vector{heads}, g) == heads.strides);
  CHECK(preserveStrides(heads, g) == heads.strides);
  CHECK(suggestMemoryFormat(heads, g) == MemoryFormat::Contiguous);
  CHECK(g.recorded().empty());
}

TEST_CASE("a sequence of length 1 does not need a guard for strides") {
  Guards g;
  g.declare("s0", {1, 64});
  g.declare("s1", {1, 512});
  Layout heads = make({"s0", "12", "s1", "32"}, {"384*s1", "32", "384", "1"});
  CHECK(pointwiseStrides(heads.sizes, std::vector{heads}, g) == heads.strides);
  CHECK(preserveStrides(heads, g) == heads.strides);
  CHECK(g.recorded().empty());
  // Whether it is contiguous does depend on it.
  CHECK_FALSE(isContiguous(heads, g));
  REQUIRE(g.recorded().size() == 1);
  CHECK(g.recorded()[0].relation == Relation::Ne);
}

TEST_CASE("masks, biases and position embeddings broadcast without guards") {
  Guards g = batchAndSequence();
  Layout scores = rowMajor({"s0", "12", "s1", "s1"});
  Layout mask = rowMajor({"s0", "1", "1", "s1"});
  Layout hidden = rowMajor({"s0", "s1", "384"});
  Layout position = rowMajor({"1", "s1", "384"}), bias = rowMajor({"384"});
  std::optional<Dims> sizes = broadcastSizes(std::vector{scores.sizes, mask.sizes}, g);
  REQUIRE(sizes);
  CHECK(*sizes == scores.sizes);
  CHECK(pointwiseStrides(*sizes, std::vector{mask, scores}, g) == scores.strides);
  sizes = broadcastSizes(std::vector{position.sizes, bias.sizes, hidden.sizes}, g);
  REQUIRE(sizes);
  CHECK(*sizes == hidden.sizes);
  CHECK(pointwiseStrides(*sizes, std::vector{position, bias, hidden}, g) ==
        hidden.strides);
  Layout expandedMask = make({"s0", "1", "s1", "s1"}, {"s1", "s1", "0", "1"});
  CHECK(pointwiseStrides(scores.sizes, std::vector{scores, expandedMask}, g) ==
        scores.strides);
  CHECK(g.recorded().empty());
}

TEST_CASE("broadcasting finds mismatches and records what it must assume") {
  Guards g = batchAndSequence();
  CHECK_FALSE(broadcastSizes(std::vector{dims({"2"}), dims({"3"})}, g));
  CHECK_FALSE(broadcastSizes(std::vector{dims({"s1"}), dims({"s1 + 1"})}, g));
  CHECK(g.recorded().empty());
  CHECK(str(*broadcastSizes(std::vector{dims({"8"}), dims({"s0"})}, g)) == "[8]");
  REQUIRE(g.recorded().size() == 1);
  CHECK(g.recorded()[0].relation == Relation::Eq);
  CHECK(str(*broadcastSizes(std::vector<Dims>{{}, dims({"1", "0"}), dims({"4", "1"})},
                            g)) == "[4, 0]");
}

TEST_CASE("channels_last images with symbolic sizes") {
  Guards g;
  for (const char *name : {"n", "h", "w"})
    g.declare(name, {1, 4096}, 17);
  Dims sizes = dims({"n", "3", "h", "w"});
  Layout planar{sizes, contiguousStrides(sizes), 0};
  Layout image{sizes, stridesOf(MemoryFormat::ChannelsLast, sizes), 0};
  CHECK(str(image.strides) == "[3*h*w, 1, 3*w, 3]");
  CHECK(suggestMemoryFormat(image, g) == MemoryFormat::ChannelsLast);
  CHECK(isContiguous(image, MemoryFormat::ChannelsLast, g));
  CHECK(isDense(image, g));
  CHECK(pointwiseStrides(sizes, std::vector{image}, g) == image.strides);
  CHECK(suggestMemoryFormat(planar, g) == MemoryFormat::Contiguous);
  CHECK(g.recorded().empty());
}

TEST_CASE("only where the answer needs it, empty tensors are excluded by a guard") {
  Guards g;
  g.declare("n", {0, 64}, 8);
  Dims sizes = dims({"n", "3", "4", "4"});
  Layout planar{sizes, contiguousStrides(sizes), 0};
  Layout image{sizes, stridesOf(MemoryFormat::ChannelsLast, sizes), 0};
  CHECK(suggestMemoryFormat(planar, g) == MemoryFormat::Contiguous);
  CHECK(isContiguous(planar, g));
  CHECK(g.recorded().empty());
  CHECK(suggestMemoryFormat(image, g) == MemoryFormat::ChannelsLast);
  REQUIRE(g.recorded().size() == 1);
  CHECK(g.recorded()[0].relation == Relation::Ne);
}

TEST_CASE("suggest and channels_last-contiguous are different questions") {
  Guards g;
  Layout narrow = make({"2", "3", "1", "1"}, {"3", "1", "1", "1"});
  CHECK(isContiguous(narrow, g));
  CHECK(isContiguous(narrow, MemoryFormat::ChannelsLast, g));
  CHECK(suggestMemoryFormat(narrow, g) == MemoryFormat::Contiguous);
  narrow.strides = dims({"3", "1", "3", "3"});
  CHECK(suggestMemoryFormat(narrow, g) == MemoryFormat::ChannelsLast);
}

TEST_CASE("expanded tensors") {
  Guards g = batchAndSequence();
  CHECK(isExpanded(make({"3", "4"}, {"0", "1"}), g));
  CHECK_FALSE(isExpanded(make({"1", "4"}, {"0", "1"}), g));
  CHECK(isExpanded(make({"s1", "4"}, {"0", "1"}), g));
  CHECK(g.recorded().empty());
}
