// Threads: same bits, callers side by side, no allocation in the steady state.
#include "runtime/executor/CpuCount.h"
#include "tests/unit/runtime/TestModules.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cfenv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace rtorch;
using namespace rtorch::test;
using core::Value;
using format::DType;

namespace {

std::atomic<size_t> allocations = 0;

} // namespace

// Counts what the whole program allocates through operator new. Not inlined: compilers
// warn when they see free() meet new.
__attribute__((noinline)) void *operator new(size_t size) {
  ++allocations;
  if (void *memory = std::malloc(size ? size : 1))
    return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void *operator new(size_t size,
                                             const std::nothrow_t &) noexcept {
  ++allocations;
  return std::malloc(size ? size : 1);
}
__attribute__((noinline)) void operator delete(void *memory) noexcept {
  std::free(memory);
}
__attribute__((noinline)) void operator delete(void *memory, size_t) noexcept {
  std::free(memory);
}

// Sanitizers end the program where there is no memory, unless they are told otherwise.
extern "C" const char *__asan_default_options();
extern "C" const char *__tsan_default_options();
extern "C" __attribute__((visibility("default"))) const char *__asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" __attribute__((visibility("default"))) const char *__tsan_default_options() {
  return "allocator_may_return_null=1";
}

namespace {

constexpr int64_t kWidth = 1000;

std::vector<float> pseudoRandom(size_t count) {
  std::vector<float> out(count);
  uint32_t state = 1;
  for (float &value : out) {
    state = state * 1664525u + 1013904223u;
    value = float(state >> 8) / float(1 << 24) - 0.5f;
  }
  return out;
}

/// The results of running sums on `threads` threads.
std::vector<float> sums(executor::Instance &instance, std::vector<float> &x,
                        unsigned threads) {
  const int64_t rows = int64_t(x.size()) / kWidth;
  std::vector<float> y(x.size());
  const Leaf in{DType::F32, {rows, kWidth}, {kWidth, 1}, x.data()};
  const Leaf out{DType::F32, {rows, kWidth}, {kWidth, 1}, y.data()};
  std::vector<Value> results = {out.value()};
  executor::RunOptions options;
  options.threads = threads;
  core::Status status = run(instance, {in.value()}, results, options);
  if (!status.ok())
    return {};
  return y;
}

bool sameBits(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

} // namespace

TEST_CASE("one to four threads give the same bits") {
  TemporaryFolder folder;
  auto instance = instantiate(load(runningSumsModule(), folder / "m.rtm"));
  for (size_t rows : {1, 2, 3, 7, 64, 333}) {
    std::vector<float> x = pseudoRandom(rows * kWidth);
    const std::vector<float> one = sums(*instance, x, 1);
    REQUIRE(one.size() == x.size());
    for (unsigned threads = 2; threads <= 4; ++threads)
      for (int round = 0; round < 20; ++round)
        CHECK(sameBits(sums(*instance, x, threads), one));
  }
}

TEST_CASE("several callers on one module all get their own results") {
  TemporaryFolder folder;
  auto module = load(runningSumsModule(), folder / "m.rtm");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (unsigned caller = 0; caller < 4; ++caller)
    callers.emplace_back([&, caller] {
      auto instance = executor::Instance::create(module);
      if (!instance.ok()) {
        ++wrong;
        return;
      }
      std::vector<float> x = pseudoRandom((10 + caller) * kWidth);
      for (float &value : x)
        value += float(caller);
      const std::vector<float> expected = sums(**instance, x, 1);
      for (int round = 0; round < 50; ++round)
        wrong += !sameBits(sums(**instance, x, 1 + caller), expected);
    });
  for (std::thread &caller : callers)
    caller.join();
  CHECK(wrong == 0);
  // Callers share workers: no more than the largest number that one asked for, or CPUs.
  CHECK(executor::workerCount() <= std::max(3u, executor::defaultThreads()));
}

TEST_CASE("a second run of one instance at the same time is refused") {
  TemporaryFolder folder;
  auto instance = instantiate(load(scaleModule(), folder / "m.rtm"));
  const executor::Instance::Turn turn(*instance);
  REQUIRE(turn.taken());
  std::vector<Value> results(1);
  core::Status status = run(*instance, {}, results);
  REQUIRE_FALSE(status.ok());
  CHECK(std::string(core::codeName(status.error().code)) == "RT_RUN_BUSY");
}

TEST_CASE("a run with sizes seen before allocates nothing") {
  TemporaryFolder folder;
  auto instance = instantiate(load(runningSumsModule(), folder / "m.rtm"));
  std::vector<float> x = pseudoRandom(64 * kWidth);
  const Leaf small{DType::F32, {8, kWidth}, {kWidth, 1}, x.data()};
  const Leaf large{DType::F32, {64, kWidth}, {kWidth, 1}, x.data()};
  std::vector<Value> arguments(1), results(1);
  executor::RunOptions options;
  executor::RunReport report;
  auto call = [&](const Leaf &leaf, unsigned threads) {
    arguments[0] = leaf.value();
    options.threads = threads;
    const executor::Instance::Turn turn(*instance);
    return instance->run(turn, arguments, results, options, report).ok();
  };
  for (unsigned threads : {1u, 2u}) {
    REQUIRE(call(large, threads));
    REQUIRE(call(small, threads));
  }
  const size_t before = allocations;
  bool good = true;
  for (int round = 0; round < 100; ++round)
    for (unsigned threads : {1u, 2u})
      good = good && call(large, threads) && call(small, threads);
  CHECK(good);
  CHECK(allocations - before <= 1); // `good` in CHECK may allocate itself
}

TEST_CASE("results do not depend on the caller's rounding mode") {
  TemporaryFolder folder;
  auto instance = instantiate(load(runningSumsModule(), folder / "m.rtm"));
  std::vector<float> x = pseudoRandom(4 * kWidth);
  const std::vector<float> usual = sums(*instance, x, 1);
  std::fesetround(FE_UPWARD);
  const std::vector<float> upward = sums(*instance, x, 1);
  const int after = std::fegetround();
  std::fesetround(FE_TONEAREST);
  CHECK(sameBits(usual, upward));
  CHECK(after == FE_UPWARD);
}

// Threads do not survive a fork; sanitizers do not support going on after one.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST_CASE("a forked process gets workers of its own") {
  TemporaryFolder folder;
  auto instance = instantiate(load(runningSumsModule(), folder / "m.rtm"));
  std::vector<float> x = pseudoRandom(64 * kWidth);
  const std::vector<float> expected = sums(*instance, x, 3);
  const pid_t child = fork();
  if (child == 0)
    _exit(sameBits(sums(*instance, x, 3), expected) ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
#endif

TEST_CASE("CPU quotas of control groups") {
  TemporaryFolder folder;
  namespace fs = std::filesystem;
  auto put = [&](const std::string &name, const std::string &text) {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << text;
  };
  const fs::path root = folder / "fs";
  CHECK(executor::cgroupCpuLimit("0::/a/b\n", root) == 0);
  put("fs/a/cpu.max", "250000 100000\n");
  put("fs/a/b/cpu.max", "max 100000\n");
  CHECK(executor::cgroupCpuLimit("0::/a/b\n", root) == 3);
  put("fs/a/b/cpu.max", "50000 100000\n");
  CHECK(executor::cgroupCpuLimit("0::/a/b\n", root) == 1);
  put("fs/cpu/c/cpu.cfs_quota_us", "400000\n");
  put("fs/cpu/c/cpu.cfs_period_us", "100000\n");
  CHECK(executor::cgroupCpuLimit("4:cpu,cpuacct:/c\n2:memory:/c\n", root) == 4);
  put("fs/cpu/c/cpu.cfs_quota_us", "-1\n");
  CHECK(executor::cgroupCpuLimit("4:cpu,cpuacct:/c\n", root) == 0);
  CHECK(executor::cgroupCpuLimit("nonsense\n\n", root) == 0);
  CHECK(executor::availableCpus() >= 1);
}
