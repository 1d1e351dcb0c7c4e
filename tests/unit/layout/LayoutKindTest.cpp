#include "runtime/layout/LayoutKind.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

static std::string kind(std::vector<int64_t> sizes, std::vector<int64_t> strides) {
  return rtorch::layout::layoutKind(sizes, strides);
}

TEST_CASE("layouts have a kind", "[kind]") {
  CHECK(kind({}, {}) == "contiguous");
  CHECK(kind({2, 3}, {3, 1}) == "contiguous");
  CHECK(kind({2, 1, 3}, {3, 77, 1}) == "contiguous");
  CHECK(kind({2, 0}, {0, 0}) == "contiguous");
  CHECK(kind({2, 3}, {4, 1}) == "padded");
  CHECK(kind({4}, {2}) == "padded");
  CHECK(kind({2, 3}, {1, 2}) == "transposed");
  CHECK(kind({2, 3}, {1, 5}) == "transposed");
  CHECK(kind({2, 3}, {0, 1}) == "broadcast");
  CHECK(kind({1, 3}, {0, 1}) == "contiguous");
  CHECK(kind({2, 3, 4, 5}, {60, 1, 15, 3}) == "channels_last");
  CHECK(kind({2, 3, 2, 4, 5}, {120, 1, 60, 15, 3}) == "channels_last");
  CHECK(kind({2, 3, 4, 5}, {61, 1, 15, 3}) == "transposed");
}
