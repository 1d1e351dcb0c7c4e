// Runs that must work: results, views, states, shapes, callers' memory.
#include "tests/unit/runtime/TestModules.h"

#include <catch2/catch.hpp>

#include <mutex>
#include <numeric>
#include <set>

using namespace rtorch;
using namespace rtorch::test;
using core::Value;
using format::DType;

namespace {

std::vector<float> iota(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.f);
  return values;
}

std::span<const float> floats(const Value &value, size_t count) {
  return {static_cast<const float *>(value.tensor.data), count};
}

} // namespace

TEST_CASE("a static module computes into the instance's own memory") {
  TemporaryFolder folder;
  auto instance = instantiate(load(scaleModule(), folder / "m.rtm"));
  std::vector<float> x = iota(32);
  std::vector<Value> results(1);
  core::Status status =
      run(*instance, {Leaf{DType::F32, {4, 8}, {8, 1}, x.data()}.value()}, results);
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
  CHECK(std::ranges::equal(results[0].tensor.sizes, std::vector<int64_t>{4, 8}));
  CHECK(std::ranges::equal(results[0].tensor.strides, std::vector<int64_t>{8, 1}));
  for (size_t i = 0; i < 32; ++i)
    CHECK(floats(results[0], 32)[i] == 4 * float(i) + 3);
}

TEST_CASE("a static module computes into the caller's memory") {
  TemporaryFolder folder;
  auto instance = instantiate(load(scaleModule(), folder / "m.rtm"));
  std::vector<float> x = iota(32), y(32);
  alignas(64) std::byte arena[256];
  Leaf result{DType::F32, {4, 8}, {8, 1}, y.data()}; // the value borrows its sizes
  std::vector<Value> results = {result.value()};
  executor::RunOptions options;
  options.arena = arena;
  options.arena_bytes = sizeof arena;
  REQUIRE(run(*instance, {Leaf{DType::F32, {4, 8}, {8, 1}, x.data()}.value()}, results,
              options)
              .ok());
  CHECK(results[0].tensor.data == y.data());
  CHECK(y[31] == 4 * 31 + 3);
}

TEST_CASE("a dynamic module runs at many sizes and forgets none of them") {
  TemporaryFolder folder;
  auto instance = instantiate(load(embeddingModule(), folder / "m.rtm"));
  // More sizes than an instance keeps plans for, twice.
  for (int round = 0; round < 2; ++round)
    for (int64_t batch = 1; batch <= 40; ++batch) {
      const int64_t length = 2 + 2 * (batch % 5);
      std::vector<int64_t> ids(size_t(batch * length));
      for (size_t i = 0; i < ids.size(); ++i)
        ids[i] = int64_t(i) % 20 - 10;
      std::vector<Value> results(1);
      REQUIRE(run(*instance,
                  {Leaf{DType::I64, {batch, length}, {length, 1}, ids.data()}.value()},
                  results)
                  .ok());
      CHECK(std::ranges::equal(results[0].tensor.sizes,
                               std::vector<int64_t>{batch, length, 8}));
      bool right = true;
      for (size_t i = 0; i < ids.size() * 8; ++i) {
        const int64_t id = ids[i / 8];
        right = right &&
                floats(results[0], ids.size() * 8)[i] == float(id < 0 ? id + 10 : id);
      }
      CHECK(right);
    }
}

TEST_CASE("states and mutated arguments change, per instance") {
  TemporaryFolder folder;
  auto module = load(statefulModule(), folder / "m.rtm");
  auto first = instantiate(module), second = instantiate(module);
  std::vector<float> x(8, 10.f), y(8, 1.f);
  const Leaf xs{DType::F32, {8}, {1}, x.data()}, ys{DType::F32, {8}, {1}, y.data()};
  const std::vector<Value> arguments = {xs.value(), ys.value()};
  std::vector<Value> results(3);
  REQUIRE(run(*first, arguments, results).ok());
  REQUIRE(run(*first, arguments, results).ok());
  CHECK(y == std::vector<float>(8, 21.f));
  auto total = first->state(0);
  REQUIRE(total.ok());
  CHECK(floats(*total, 8)[7] == 27.f);
  CHECK(floats(*second->state(0), 8)[7] == 7.f);
  // The view of the state shows its memory.
  CHECK(results[0].tensor.data == floats(*total, 8).data() + 2);
  CHECK(std::ranges::equal(results[0].tensor.sizes, std::vector<int64_t>{6}));
  CHECK(results[1].kind == Value::Kind::None);
  CHECK(results[2].kind == Value::Kind::Int);
  CHECK(results[2].integer == 42);
  CHECK_FALSE(first->state(1).ok());
}

TEST_CASE("strides that address nothing are not compared") {
  TemporaryFolder folder;
  auto embedding = instantiate(load(embeddingModule(), folder / "e.rtm"));
  std::vector<int64_t> ids = {1, 2};
  std::vector<Value> results(1);
  CHECK(
      run(*embedding, {Leaf{DType::I64, {1, 2}, {77, 1}, ids.data()}.value()}, results)
          .ok());
  auto sums = instantiate(load(runningSumsModule(), folder / "s.rtm"));
  results[0] = Value();
  core::Status status =
      run(*sums, {Leaf{DType::F32, {0, 1000}, {5, 5}, nullptr}.value()}, results);
  INFO((status.ok() ? "" : status.error().message));
  CHECK(status.ok());
  CHECK(results[0].tensor.sizes[0] == 0);
}

TEST_CASE("relayout copies what does not fit, counts it, and writes back") {
  TemporaryFolder folder;
  auto instance = instantiate(load(scaleModule(), folder / "m.rtm"));
  std::vector<float> x(32); // 4x8 by columns
  for (size_t i = 0; i < 4; ++i)
    for (size_t j = 0; j < 8; ++j)
      x[j * 4 + i] = float(i * 8 + j);
  const Leaf leaf{DType::F32, {4, 8}, {1, 4}, x.data()};
  const std::vector<Value> arguments = {leaf.value()};
  std::vector<Value> results(1);
  executor::RunOptions options;
  options.relayout = true;
  executor::RunReport report;
  {
    const executor::Instance::Turn turn(*instance);
    core::Status status = instance->run(turn, arguments, results, options, report);
    INFO((status.ok() ? "" : status.error().message));
    REQUIRE(status.ok());
  }
  CHECK(report.copies == 1);
  for (size_t i = 0; i < 32; ++i)
    CHECK(floats(results[0], 32)[i] == 4 * float(i) + 3);

  auto stateful = instantiate(load(statefulModule(), folder / "s.rtm"));
  std::vector<float> ones(8, 1.f), wide(16, 5.f);
  results.assign(3, Value());
  REQUIRE(run(*stateful,
              {Leaf{DType::F32, {8}, {1}, ones.data()}.value(),
               Leaf{DType::F32, {8}, {2}, wide.data()}.value()},
              results, options)
              .ok());
  for (size_t i = 0; i < 16; ++i)
    CHECK(wide[i] == (i % 2 == 0 ? 6.f : 5.f));
}

TEST_CASE("the memory of a run is known before it") {
  TemporaryFolder folder;
  auto module = load(runningSumsModule(), folder / "m.rtm");
  auto needs = executor::memoryOf(*module, std::vector<int64_t>{100}, 2);
  REQUIRE(needs.ok());
  CHECK(needs->arena == 400000 + 2 * 4032);
  CHECK(needs->results == 400000);
  CHECK(needs->peak == needs->arena + needs->results);
  // A grid of one tile has no use for a second thread's scratch memory.
  CHECK(executor::memoryOf(*module, std::vector<int64_t>{1}, 2)->arena == 4032 + 4032);
}

TEST_CASE("results from an allocator belong to the caller") {
  TemporaryFolder folder;
  auto instance = instantiate(load(scaleModule(), folder / "m.rtm"));
  std::vector<float> x = iota(32), memory(32);
  std::vector<Value> results(1);
  executor::RunOptions options;
  options.allocate.user = memory.data();
  options.allocate.call = [](void *user, size_t, const core::TensorView &shape,
                             size_t bytes) -> void * {
    return shape.sizes.size() == 2 && bytes == 128 ? user : nullptr;
  };
  REQUIRE(run(*instance, {Leaf{DType::F32, {4, 8}, {8, 1}, x.data()}.value()}, results,
              options)
              .ok());
  CHECK(results[0].tensor.data == memory.data());
  CHECK(memory[1] == 7.f);
}

TEST_CASE("a module compiled again is loaded anew beside the old one") {
  TemporaryFolder folder;
  auto old = load(scaleModule(), folder / "m.rtm");
  TestModule changed = scaleModule();
  changed.manifest.schedule.resize(1);
  changed.manifest.steps.resize(1);
  changed.manifest.schedule[0].operands[1].storage = 1;
  auto fresh = load(std::move(changed), folder / "m.rtm");
  std::vector<float> x(32, 1.f);
  std::vector<Value> results(1);
  const Leaf leaf{DType::F32, {4, 8}, {8, 1}, x.data()};
  const std::vector<Value> arguments = {leaf.value()};
  auto oldInstance = instantiate(std::move(old)), instance = instantiate(fresh);
  REQUIRE(run(*oldInstance, arguments, results).ok());
  CHECK(floats(results[0], 1)[0] == 7.f);
  results[0] = Value();
  REQUIRE(run(*instance, arguments, results).ok());
  CHECK(floats(results[0], 1)[0] == 3.f);
}

TEST_CASE("the profile hook hears of every launch") {
  TemporaryFolder folder;
  auto instance = instantiate(load(runningSumsModule(), folder / "m.rtm"));
  std::vector<float> x(64 * 1000, 1.f);
  // Any thread may be the one that takes a launch's tiles, and calls the hook.
  struct Seen {
    std::mutex mutex;
    std::set<std::string> names;
    bool ordered = true;
  } seen;
  executor::RunOptions options;
  options.threads = 2;
  options.profile.user = &seen;
  options.profile.call = [](void *user, const format::Manifest &manifest,
                            const executor::LaunchSpan &span) {
    auto &all = *static_cast<Seen *>(user);
    std::lock_guard lock(all.mutex);
    all.names.insert(manifest.schedule[span.launch].name);
    all.ordered = all.ordered && span.begin <= span.end && span.thread < 2;
  };
  std::vector<Value> results(1);
  REQUIRE(run(*instance, {Leaf{DType::F32, {64, 1000}, {1000, 1}, x.data()}.value()},
              results, options)
              .ok());
  CHECK(seen.names == std::set<std::string>{"cumsum", "cumsum_1"});
  CHECK(seen.ordered);
}

TEST_CASE("a loop runs as often as the sizes say") {
  TemporaryFolder folder;
  auto instance = instantiate(load(loopModule(), folder / "m.rtm"));
  for (int64_t rows : {3, 0, 1, 100, 3}) {
    std::vector<float> x(size_t(rows) * 8 + 1, 0.f), total(8, 0.5f);
    for (size_t i = 0; i < size_t(rows) * 8; ++i)
      x[i] = float(i / 8);
    std::vector<Value> results(1);
    core::Status status = run(*instance,
                              {Leaf{DType::F32, {rows, 8}, {8, 1}, x.data()}.value(),
                               Leaf{DType::F32, {8}, {1}, total.data()}.value()},
                              results);
    INFO((status.ok() ? "" : status.error().message));
    REQUIRE(status.ok());
    CHECK(results[0].integer == rows);
    for (float sum : total)
      CHECK(sum == 0.5f + float(rows * (rows - 1) / 2));
  }
}

TEST_CASE("an operand that leaves its storage in a later round is found") {
  TemporaryFolder folder;
  TestModule module = loopModule();
  for (format::ExprNode &node : module.manifest.exprs)
    if (node.op == format::ExprOp::Constant && node.a == 32)
      node.a = 64; // rows lie only 32 bytes apart
  auto instance = instantiate(load(std::move(module), folder / "m.rtm"));
  std::vector<float> x(32, 1.f), total(8, 0.f);
  std::vector<Value> results(1);
  core::Status status = run(*instance,
                            {Leaf{DType::F32, {4, 8}, {8, 1}, x.data()}.value(),
                             Leaf{DType::F32, {8}, {1}, total.data()}.value()},
                            results);
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code == core::ErrorCode::ModulePlan);
  CHECK(
      status.error().message ==
      "the module contradicts itself for s0 = 4: launch 'scan' has an operand at byte "
      "192 of a storage of 128 bytes");
}

TEST_CASE("conditions in memory decide") {
  TemporaryFolder folder;
  auto instance = instantiate(load(branchModule(), folder / "m.rtm"));
  for (bool goes : {false, true})
    for (bool doubles : {false, true}) {
      std::vector<float> x(8, 1.f), total(8, 3.f);
      char going = goes, doubling = doubles;
      std::vector<Value> results(1);
      REQUIRE(run(*instance,
                  {Leaf{DType::F32, {8}, {1}, x.data()}.value(),
                   Leaf{DType::F32, {8}, {1}, total.data()}.value(),
                   Leaf{DType::Bool, {}, {}, &going}.value(),
                   Leaf{DType::Bool, {}, {}, &doubling}.value()},
                  results)
                  .ok());
      const float sum = goes ? 8.f : 3.f;
      CHECK(total[0] == (doubles ? sum : sum + 1));
      if (doubles)
        CHECK(floats(results[0], 8)[7] == 2 * sum + 1);
    }
}
