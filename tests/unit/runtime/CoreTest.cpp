// Expressions, extents, and that every error code is documented.
#include "runtime/core/DType.h"
#include "runtime/core/ExprTable.h"
#include "runtime/core/StridedCopy.h"
#include "runtime/core/Value.h"
#include "runtime/executor/Relayout.h"
#include "tests/unit/runtime/TestModules.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <set>

using namespace rtorch;
using namespace rtorch::test;
using format::ExprId;
using format::ExprOp;

namespace {

/// The value of `op(a, b)` with a = s0 and b = s1, or nothing.
std::optional<int64_t> evaluated(ExprOp op, int64_t a, int64_t b) {
  TestModule m;
  m.manifest.symbols = {{"s0"}, {"s1"}};
  const ExprId id = m.op(op, m.symbol(0), m.symbol(1));
  std::vector<int64_t> values(m.manifest.exprs.size());
  if (!core::evaluate(m.manifest, std::vector<int64_t>{a, b}, values).ok())
    return std::nullopt;
  return values[id];
}

} // namespace

TEST_CASE("expressions follow Python's integers, within 64 bits") {
  for (int64_t a : {-7, -6, -1, 0, 1, 6, 7})
    for (int64_t b : {-3, -1, 1, 2, 3}) {
      const int64_t quotient = *evaluated(ExprOp::FloorDiv, a, b);
      const int64_t rest = *evaluated(ExprOp::Mod, a, b);
      CHECK(quotient * b + rest == a);
      CHECK((rest == 0 || (rest < 0) == (b < 0)));
      CHECK(std::abs(rest) < std::abs(b));
      CHECK(*evaluated(ExprOp::Min, a, b) == std::min(a, b));
      CHECK(*evaluated(ExprOp::Max, a, b) == std::max(a, b));
    }
  CHECK_FALSE(evaluated(ExprOp::Add, INT64_MAX, 1).has_value());
  CHECK_FALSE(evaluated(ExprOp::Mul, INT64_MAX, 2).has_value());
  CHECK_FALSE(evaluated(ExprOp::Mul, INT64_MIN, -1).has_value());
  CHECK_FALSE(evaluated(ExprOp::FloorDiv, 1, 0).has_value());
  CHECK_FALSE(evaluated(ExprOp::FloorDiv, INT64_MIN, -1).has_value());
  CHECK_FALSE(evaluated(ExprOp::Mod, 1, 0).has_value());
  CHECK(*evaluated(ExprOp::Mod, INT64_MIN, -1) == 0);
}

TEST_CASE("errors of expressions name the expression and the sizes") {
  TestModule m;
  m.manifest.symbols = {{"s0"}, {"s1"}};
  m.op(ExprOp::FloorDiv, m.number(8), m.symbol(1));
  std::vector<int64_t> values(m.manifest.exprs.size());
  core::Status status = core::evaluate(m.manifest, std::vector<int64_t>{4, 0}, values);
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().message ==
        "'floordiv(8, s1)' divides by zero for s0 = 4, s1 = 0");
}

TEST_CASE("expressions print with parentheses where they must") {
  TestModule m;
  m.manifest.symbols = {{"s0"}, {"s1"}};
  const ExprId sum = m.op(ExprOp::Add, m.symbol(0), m.number(-1));
  const ExprId product = m.op(ExprOp::Mul, m.number(2), sum);
  CHECK(core::printExpr(m.manifest, sum) == "s0 + -1");
  CHECK(core::printExpr(m.manifest, product) == "2*(s0 + -1)");
  CHECK(core::printExpr(m.manifest, m.op(ExprOp::Min, product, m.symbol(1))) ==
        "min(2*(s0 + -1), s1)");
  CHECK_FALSE(core::constantValue(m.manifest, sum).has_value());
  CHECK(core::constantValue(m.manifest, m.op(ExprOp::Mul, m.number(6), m.number(7))) ==
        42);
  // A term that doubles with each entry must not fill the memory.
  ExprId id = sum;
  for (int i = 0; i < 60; ++i)
    id = m.op(ExprOp::Add, id, id);
  CHECK(core::printExpr(m.manifest, id).size() < 1000);
}

TEST_CASE("the extent of a layout in bytes") {
  auto extent = [](std::vector<int64_t> sizes, std::vector<int64_t> strides) {
    return core::extentBytes(core::DType::F32, sizes, strides);
  };
  CHECK(extent({}, {}) == 4);
  CHECK(extent({2, 3}, {3, 1}) == 24);
  CHECK(extent({2, 3}, {0, 2}) == 20);
  CHECK(extent({2, 0}, {3, 1}) == 0);
  CHECK(extent({1, 3}, {-5, 1}) == 12);
  CHECK_FALSE(extent({2, 3}, {-3, 1}).has_value());
  CHECK_FALSE(extent({-2}, {1}).has_value());
  CHECK_FALSE(extent({INT64_MAX, 4}, {4, 1}).has_value());
  CHECK_FALSE(extent({INT64_MAX / 2}, {1}).has_value());
}

TEST_CASE("dtypes have names and sizes") {
  std::set<std::string> names;
  for (int32_t i = 0; i < core::kDTypes; ++i) {
    auto dtype = core::dtypeFromNumber(i);
    REQUIRE(dtype.has_value());
    names.insert(core::dtypeName(*dtype));
  }
  CHECK(names.size() == size_t(core::kDTypes));
  CHECK(core::elementBytes(core::DType::BF16) == 2);
  CHECK(core::elementBytes(core::DType::F64) == 8);
  CHECK_FALSE(core::dtypeFromNumber(10).has_value());
  CHECK_FALSE(core::dtypeFromNumber(-1).has_value());
}

TEST_CASE("strided copies") {
  const std::vector<int64_t> sizes = {2, 3, 2}, rows = {6, 2, 1}, columns = {1, 2, 6};
  std::vector<int16_t> source(12), target(12), back(12);
  for (int16_t i = 0; i < 12; ++i)
    source[size_t(i)] = i;
  auto bytes = [](std::vector<int16_t> &v) {
    return reinterpret_cast<std::byte *>(v.data());
  };
  core::copyStrided(sizes, 2, bytes(target), columns, bytes(source), rows);
  CHECK(target[6] == 1);
  CHECK(target[1] == 6);
  core::copyStrided(sizes, 2, bytes(back), rows, bytes(target), columns);
  CHECK(back == source);
  using Dims = std::vector<int64_t>;
  CHECK(executor::hasSharedElements(Dims{2, 3}, Dims{0, 1}));
  CHECK(executor::hasSharedElements(Dims{2, 3}, Dims{2, 1}));
  CHECK_FALSE(executor::hasSharedElements(Dims{2, 3}, Dims{3, 1}));
  CHECK_FALSE(executor::hasSharedElements(Dims{1, 3}, Dims{0, 2}));
}

TEST_CASE("every error code has an entry in the reference, and only those") {
  std::ifstream in(RTORCH_SOURCE_DIR "/docs/reference/errors.md");
  std::set<std::string> documented;
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("### `RT_") && line.back() == '`')
      documented.insert(line.substr(5, line.size() - 6));
  CHECK(documented.erase("RT_ARCHIVE") == 1); // the commands' own
  std::set<std::string> codes;
#define RTORCH_ERROR_CODE(enumerator, name) codes.insert(name);
#include "runtime/core/ErrorCodes.def"
#undef RTORCH_ERROR_CODE
  CHECK(documented == codes);
}
