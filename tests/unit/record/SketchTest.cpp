#include "runtime/record/Sketch.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <string>
#include <vector>

using rtorch::record::Sketch;

namespace {

std::vector<double> stream(const std::string &order, size_t count) {
  std::vector<double> values(count);
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> distribution;
  for (double &value : values)
    value = order == "equal" ? 3.0 : distribution(random);
  if (order == "few")
    for (double &value : values)
      value = std::floor(value);
  if (order == "ascending")
    std::ranges::sort(values);
  if (order == "descending")
    std::ranges::sort(values, std::greater<>());
  if (order == "zigzag") {
    std::ranges::sort(values);
    for (size_t i = 0; i < count / 2; i += 2)
      std::swap(values[i], values[count - 1 - i]);
  }
  return values;
}

/// How far the rank of `value` is from `rank`, which counts from 1.
double rankError(const std::vector<double> &sorted, double value, double rank) {
  auto [low, high] = std::ranges::equal_range(sorted, value);
  auto first = static_cast<double>(low - sorted.begin()) + 1;
  auto last = static_cast<double>(high - sorted.begin());
  return rank < first ? first - rank : rank > last ? rank - last : 0;
}

} // namespace

TEST_CASE("quantiles are within the bound for every order", "[sketch]") {
  for (double epsilon : {0.1, 0.01, 0.001})
    for (const char *order :
         {"random", "ascending", "descending", "zigzag", "few", "equal"})
      for (size_t count : {1, 2, 3, 50, 1000, 20000}) {
        CAPTURE(epsilon, order, count);
        std::vector<double> values = stream(order, count);
        Sketch sketch(epsilon);
        for (double value : values)
          sketch.add(value);
        CHECK(sketch.count() == count);
        std::ranges::sort(values);
        for (double fraction : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
          double rank = fraction * static_cast<double>(count - 1) + 1;
          double error = rankError(values, sketch.quantile(fraction), rank);
          CHECK(error <= epsilon * static_cast<double>(count) + 1);
        }
      }
}

TEST_CASE("the sketch stays small", "[sketch]") {
  Sketch sketch(0.01);
  for (double value : stream("random", 100000))
    sketch.add(value);
  CHECK(sketch.size() < 1000);
}

TEST_CASE("what has no rank is left out", "[sketch]") {
  Sketch sketch;
  CHECK(std::isnan(sketch.quantile(0.5)));
  sketch.add(NAN);
  CHECK(sketch.count() == 0);
  sketch.add(INFINITY);
  sketch.add(-INFINITY);
  sketch.add(1);
  CHECK(sketch.quantile(0) == -INFINITY);
  CHECK(sketch.quantile(0.5) == 1);
  CHECK(sketch.quantile(1) == INFINITY);
}
