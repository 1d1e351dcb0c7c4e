// Every way in which a call can differ from the contract, and what is said about it.
#include "tests/unit/runtime/TestModules.h"

#include <catch2/catch.hpp>

using namespace rtorch;
using namespace rtorch::test;
using core::Value;
using format::DType;

namespace {

/// Runs and gives "CODE: message" of the failure, or "ok".
std::string outcome(executor::Instance &instance, const std::vector<Value> &arguments,
                    std::vector<Value> results = {},
                    const executor::RunOptions &options = {}) {
  results.resize(instance.module().manifest().results.size());
  core::Status status = run(instance, arguments, results, options);
  if (status.ok())
    return "ok";
  return std::string(core::codeName(status.error().code)) + ": " +
         status.error().message;
}

/// An instance of a module and memory to call it with.
struct Fixture {
  explicit Fixture(TestModule module)
      : instance(instantiate(load(std::move(module), folder / "m.rtm"))) {}
  TemporaryFolder folder;
  std::unique_ptr<executor::Instance> instance;
  alignas(64) float memory[4096] = {};
  alignas(64) int64_t ids[4096] = {};
};

Value integer(int64_t value) {
  Value out;
  out.kind = Value::Kind::Int;
  out.integer = value;
  return out;
}

/// flag must be True, k is a symbol, x is f32 [k]; result k + 1.
TestModule leavesModule() {
  TestModule m;
  m.manifest.symbols = {{"k", 0, 100, 1, -1}};
  format::Argument &flag = m.argument("flag", {});
  flag.kind = format::Argument::Kind::Constant;
  flag.constant.kind = format::ConstantValue::Kind::Bool;
  flag.constant.integer = 1;
  format::Argument &k = m.argument("k", {});
  k.kind = format::Argument::Kind::Int;
  k.value = m.symbol(0);
  m.argument("x", {DType::F32, {m.symbol(0)}, m.numbers({1})});
  m.result("next", {}).kind = format::Result::Kind::Int;
  m.manifest.results[0].value = m.op(format::ExprOp::Add, m.symbol(0), m.number(1));
  return m;
}

} // namespace

TEST_CASE("the number of arguments and results") {
  Fixture f(scaleModule());
  CHECK(outcome(*f.instance, {}) ==
        "RT_ARGUMENT_COUNT: the call: expected 1 arguments, but got 0");
  std::vector<Value> results(2);
  const Leaf x{DType::F32, {4, 8}, {8, 1}, f.memory};
  core::Status status = run(*f.instance, {x.value()}, results);
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().message == "the call: expected 1 results, but got 2");
}

TEST_CASE("kind, dtype and rank of an argument") {
  Fixture f(scaleModule());
  CHECK(
      outcome(*f.instance, {integer(3)}) ==
      "RT_ARGUMENT_KIND: argument 0 'x': expected a float32 tensor of rank 2, but got "
      "an integer");
  CHECK(outcome(*f.instance, {Leaf{DType::F64, {4, 8}, {8, 1}, f.memory}.value()}) ==
        "RT_ARGUMENT_DTYPE: argument 0 'x': expected dtype float32, but got float64");
  CHECK(outcome(*f.instance, {Leaf{DType::F32, {32}, {1}, f.memory}.value()}) ==
        "RT_LAYOUT_RANK: argument 0 'x': expected rank 2, but got rank 1 (sizes [32])");
}

TEST_CASE("sizes, strides and memory of an argument") {
  Fixture f(scaleModule());
  CHECK(
      outcome(*f.instance, {Leaf{DType::F32, {4, 9}, {9, 1}, f.memory}.value()}) ==
      "RT_LAYOUT_SIZE: argument 0 'x': dimension 1: expected size 8, but got 9 (sizes "
      "[4, 9]); needed by 'view' at net.py:7");
  CHECK(outcome(*f.instance, {Leaf{DType::F32, {4, 8}, {1, 4}, f.memory}.value()}) ==
        "RT_LAYOUT_STRIDE: argument 0 'x': dimension 0: expected stride 8, but got 1 "
        "(sizes [4, 8], strides [1, 4], expected strides [8, 1]); needed by 'view' at "
        "net.py:7");
  CHECK(outcome(*f.instance, {Leaf{DType::F32, {4, 8}, {8, 1}, nullptr}.value()}) ==
        "RT_ARGUMENT_NULL: argument 0 'x': expected memory for sizes [4, 8], but got a "
        "null pointer");
  auto *odd = reinterpret_cast<std::byte *>(f.memory) + 2;
  CHECK(
      outcome(*f.instance, {Leaf{DType::F32, {4, 8}, {8, 1}, odd}.value()}) ==
      "RT_LAYOUT_ALIGNMENT: argument 0 'x': expected an address that is a multiple of "
      "4, but got one that is 2 bytes behind such");
}

TEST_CASE("an argument that the module wants aligned") {
  TestModule module = scaleModule();
  module.manifest.arguments[0].alignment = 64;
  Fixture f(std::move(module));
  CHECK(outcome(*f.instance, {Leaf{DType::F32, {4, 8}, {8, 1}, f.memory}.value()}) ==
        "ok");
  const Leaf shifted{DType::F32, {4, 8}, {8, 1}, f.memory + 4};
  CHECK(
      outcome(*f.instance, {shifted.value()})
          .starts_with("RT_LAYOUT_ALIGNMENT: argument 0 'x': expected an address that "
                       "is a multiple of 64"));
  executor::RunOptions relayout;
  relayout.relayout = true;
  CHECK(outcome(*f.instance, {shifted.value()}, {}, relayout) == "ok");
}

TEST_CASE("symbols outside their range and relations that do not hold") {
  Fixture f(embeddingModule());
  auto call = [&](std::vector<int64_t> sizes, std::vector<int64_t> strides) {
    return outcome(*f.instance, {Leaf{DType::I64, sizes, strides, f.ids}.value()});
  };
  CHECK(call({2, 4}, {4, 1}) == "ok");
  CHECK(
      call({65, 4}, {4, 1}) ==
      "RT_LAYOUT_RANGE: argument 0 'ids': dimension 0: expected a value for s0 of 1 to "
      "64, but got 65");
  CHECK(
      call({2, 1}, {1, 1}) ==
      "RT_LAYOUT_RANGE: argument 0 'ids': dimension 1: expected a value for s1 of 2 to "
      "512, but got 1");
  CHECK(call({-2, 4}, {4, 1}) == "RT_LAYOUT_SIZE: argument 0 'ids': dimension 0: "
                                 "expected a size of at least 0, but got -2");
  CHECK(
      call({2, 5}, {5, 1}) ==
      "RT_LAYOUT_CHECK: expected mod(s1, 2) == 0, but got 1 and 0 for s0 = 2, s1 = 5; "
      "needed by view of [s0, s1] as [s0, s1//2, 2] at net.py:9");
  CHECK(
      call({2, 4}, {1, 2}) ==
      "RT_LAYOUT_STRIDE: argument 0 'ids': dimension 0: expected stride 4 (s1 for s0 = "
      "2, s1 = 4), but got 1 (sizes [2, 4], strides [1, 2], expected strides [4, 1])");
}

TEST_CASE("an error found by a kernel names node and source line") {
  Fixture f(embeddingModule());
  f.ids[5] = 10;
  const Leaf ids{DType::I64, {2, 4}, {4, 1}, f.ids};
  for (unsigned threads : {1u, 2u, 4u}) {
    executor::RunOptions options;
    options.threads = threads;
    std::vector<Value> results(1);
    core::Status status = run(*f.instance, {ids.value()}, results, options);
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().message ==
          "index out of range in self; raised by 'embedding' at net.py:12");
    CHECK(status.error().node == "embedding");
    CHECK(status.error().source == "net.py:12");
  }
  f.ids[5] = -10;
  CHECK(outcome(*f.instance, {ids.value()}) == "ok");
}

TEST_CASE("a kernel's return value without an error site") {
  TestModule m;
  m.launch("fail", "broken", {}, m.numbers({7}), m.number(1));
  Fixture f(std::move(m));
  CHECK(outcome(*f.instance, {}) ==
        "RT_RUN_FAILED: kernel 'fail' of 'broken' failed with 7");
}

TEST_CASE("constant and integer arguments") {
  Fixture f(leavesModule());
  Value yes, no;
  yes.kind = no.kind = Value::Kind::Bool;
  yes.integer = 1;
  const Leaf x{DType::F32, {5}, {1}, f.memory}, wrong{DType::F32, {6}, {1}, f.memory};
  CHECK(outcome(*f.instance, {yes, integer(5), x.value()}) == "ok");
  CHECK(outcome(*f.instance, {no, integer(5), x.value()}) ==
        "RT_ARGUMENT_VALUE: argument 0 'flag': expected True, which the module was "
        "compiled for, but got False");
  CHECK(outcome(*f.instance, {integer(1), integer(5), x.value()})
            .starts_with("RT_ARGUMENT_VALUE: argument 0 'flag'"));
  CHECK(outcome(*f.instance, {yes, yes, x.value()}) ==
        "RT_ARGUMENT_KIND: argument 1 'k': expected an integer, but got a bool");
  CHECK(outcome(*f.instance, {yes, integer(101), x.value()}) ==
        "RT_LAYOUT_RANGE: argument 1 'k': expected a value for k of 0 to 100, but got "
        "101");
  CHECK(
      outcome(*f.instance, {yes, integer(5), wrong.value()}) ==
      "RT_LAYOUT_SIZE: argument 2 'x': dimension 0: expected size 5 (k for k = 5), but "
      "got 6 (sizes [6])");
}

TEST_CASE("result buffers must fit") {
  Fixture f(scaleModule());
  const Leaf x{DType::F32, {4, 8}, {8, 1}, f.memory};
  auto into = [&](const Leaf &y) {
    return outcome(*f.instance, {x.value()}, {y.value()});
  };
  float *free = f.memory + 100;
  CHECK(into({DType::F32, {4, 8}, {8, 1}, free}) == "ok");
  CHECK(into({DType::F64, {4, 8}, {8, 1}, free}) ==
        "RT_ARGUMENT_DTYPE: result 0 'y': expected dtype float32, but got float64");
  CHECK(into({DType::F32, {4, 4}, {4, 1}, free}) ==
        "RT_LAYOUT_SIZE: result 0 'y': dimension 1: expected size 8, but got 4 (sizes "
        "[4, 4])");
  CHECK(into({DType::F32, {4, 8}, {16, 1}, free})
            .starts_with("RT_LAYOUT_STRIDE: result 0 'y': dimension 0: expected stride "
                         "8, but got 16"));
  CHECK(into({DType::F32, {4, 8}, {8, 1}, reinterpret_cast<char *>(free) + 1})
            .starts_with("RT_LAYOUT_ALIGNMENT: result 0 'y'"));
  CHECK(into({DType::F32, {4, 8}, {8, 1}, f.memory + 31}) ==
        "RT_LAYOUT_OVERLAP: expected result 0 'y', which the module writes to, apart "
        "from argument 0 'x', but got memory that shares 4 bytes");
  CHECK(into({DType::F32, {4, 8}, {8, 1}, f.memory + 32}) == "ok");
}

TEST_CASE("mutated arguments and states must lie apart from everything else") {
  Fixture f(statefulModule());
  auto call = [&](float *x, float *y) {
    return outcome(*f.instance, {Leaf{DType::F32, {8}, {1}, x}.value(),
                                 Leaf{DType::F32, {8}, {1}, y}.value()});
  };
  CHECK(call(f.memory, f.memory + 8) == "ok");
  CHECK(call(f.memory + 8, f.memory) == "ok");
  CHECK(call(f.memory, f.memory) ==
        "RT_LAYOUT_OVERLAP: expected argument 1 'y', which the module writes to, apart "
        "from argument 0 'x', but got memory that shares 32 bytes");
  auto *total = static_cast<float *>(f.instance->state(0)->tensor.data);
  CHECK(call(total, f.memory) ==
        "RT_LAYOUT_OVERLAP: expected buffer 'total', which the module writes to, apart "
        "from argument 0 'x', but got memory that shares 32 bytes");
}

TEST_CASE("an own result of the last run is no argument of the next") {
  Fixture f(scaleModule());
  const Leaf x{DType::F32, {4, 8}, {8, 1}, f.memory};
  std::vector<Value> results(1);
  REQUIRE(run(*f.instance, {x.value()}, results).ok());
  CHECK(outcome(*f.instance, {results[0]})
            .starts_with("RT_LAYOUT_OVERLAP: expected result 0 'y'"));
}

TEST_CASE("a caller's arena must be large enough and aligned") {
  Fixture f(scaleModule());
  const Leaf x{DType::F32, {4, 8}, {8, 1}, f.memory};
  executor::RunOptions options;
  options.arena = f.memory + 1024;
  options.arena_bytes = 191;
  CHECK(
      outcome(*f.instance, {x.value()}, {}, options)
          .starts_with("RT_MEMORY_ARENA: the arena: expected 192 bytes aligned to 64"));
  options.arena_bytes = 192;
  CHECK(outcome(*f.instance, {x.value()}, {}, options) == "ok");
  options.arena = f.memory + 1025;
  CHECK(
      outcome(*f.instance, {x.value()}, {}, options)
          .starts_with("RT_MEMORY_ARENA: the arena: expected 192 bytes aligned to 64"));
  options.arena = f.memory;
  CHECK(outcome(*f.instance, {x.value()}, {}, options)
            .starts_with("RT_LAYOUT_OVERLAP: expected the arena"));
}

TEST_CASE("relayout cannot give elements memory that they share") {
  TestModule module = scaleModule();
  module.manifest.arguments[0].tensor = module.tensor(DType::F32, {4, 8}, {0, 1});
  Fixture f(std::move(module));
  executor::RunOptions relayout;
  relayout.relayout = true;
  CHECK(outcome(*f.instance, {Leaf{DType::F32, {4, 8}, {8, 1}, f.memory}.value()}, {},
                relayout)
            .starts_with("RT_LAYOUT_STRIDE: argument 0 'x': expected strides [0, 1]"));
}

TEST_CASE("sizes whose expressions overflow are an error, not a small number") {
  TestModule m = runningSumsModule();
  m.manifest.symbols[0].max = INT64_MAX;
  Fixture f(std::move(m));
  const Leaf x{DType::F32, {INT64_MAX / 1000, 1000}, {1000, 1}, f.memory};
  CHECK(outcome(*f.instance, {x.value()})
            .starts_with("RT_LAYOUT_OVERFLOW: '4000*s0' does not fit into 64 bits for "
                         "s0 = "));
  const Leaf large{DType::F32, {INT64_MAX / 8000, 1000}, {1000, 1}, f.memory};
  CHECK(outcome(*f.instance, {large.value()})
            .starts_with("RT_MEMORY_EXHAUSTED: there is no memory for"));
}

TEST_CASE("a module that contradicts itself at some sizes") {
  TestModule m = scaleModule();
  m.manifest.arena_bytes = m.number(128); // the buffer ends at 192
  Fixture f(std::move(m));
  CHECK(
      outcome(*f.instance, {Leaf{DType::F32, {4, 8}, {8, 1}, f.memory}.value()}) ==
      "RT_MODULE_PLAN: the module contradicts itself: a buffer of 128 bytes at byte 64 "
      "of an arena of 128 bytes");
}

TEST_CASE("a symbol of which a size is a multiple") {
  TestModule m = leavesModule();
  m.manifest.symbols = {{"k", 0, 100, 1, -1, 3, 2}};
  m.manifest.arguments[1].value =
      m.op(format::ExprOp::Add, m.op(format::ExprOp::Mul, m.number(3), m.symbol(0)),
           m.number(2));
  Fixture f(std::move(m));
  const Leaf x{DType::F32, {4}, {1}, f.memory};
  Value flag = integer(1);
  flag.kind = Value::Kind::Bool;
  CHECK(outcome(*f.instance, {flag, integer(14), x.value()}) == "ok");
  CHECK(
      outcome(*f.instance, {flag, integer(13), x.value()}) ==
      "RT_ARGUMENT_VALUE: argument 1 'k': expected 11 (3*k + 2 for k = 3), but got 13");
  CHECK(outcome(*f.instance, {flag, integer(-4), x.value()}) ==
        "RT_LAYOUT_RANGE: argument 1 'k': expected a value 3*k + 2 for k of 0 to 100, "
        "but got -4");
}
