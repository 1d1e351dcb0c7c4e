#include "tests/unit/runtime/TestModules.h"

#include "runtime/executor/CpuFeatures.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <numeric>

namespace rtorch::test {

using format::DType;
using format::ExprId;
using format::ExprOp;
using format::StorageKind;

TemporaryFolder::TemporaryFolder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "rtorch-test-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestModule::TestModule() {
  manifest.model = "test";
  manifest.producer = "rtorch tests";
  manifest.triple = std::string(executor::hostArchitecture()) + "-unknown-linux-gnu";
  manifest.cpu = "generic";
  manifest.arena_bytes = number(0);
}

ExprId TestModule::number(int64_t value) {
  manifest.exprs.push_back({ExprOp::Constant, value, 0});
  return ExprId(manifest.exprs.size() - 1);
}

ExprId TestModule::symbol(uint32_t index) {
  manifest.exprs.push_back({ExprOp::Symbol, index, 0});
  return ExprId(manifest.exprs.size() - 1);
}

ExprId TestModule::op(ExprOp op, ExprId a, ExprId b) {
  manifest.exprs.push_back({op, a, b});
  return ExprId(manifest.exprs.size() - 1);
}

std::vector<ExprId> TestModule::numbers(const std::vector<int64_t> &values) {
  std::vector<ExprId> out;
  for (int64_t value : values)
    out.push_back(number(value));
  return out;
}

format::TensorSpec TestModule::tensor(DType dtype, const std::vector<int64_t> &sizes,
                                      const std::vector<int64_t> &strides) {
  return {dtype, numbers(sizes), numbers(strides)};
}

format::Argument &TestModule::argument(const std::string &name,
                                       format::TensorSpec spec) {
  format::Argument &argument = manifest.arguments.emplace_back();
  argument.name = name;
  argument.tensor = std::move(spec);
  return argument;
}

format::Result &TestModule::result(const std::string &name, format::TensorSpec spec) {
  format::Result &result = manifest.results.emplace_back();
  result.name = name;
  result.tensor = std::move(spec);
  return result;
}

uint32_t TestModule::constant(const std::string &name, std::vector<float> values) {
  format::Constant &constant = manifest.constants.emplace_back();
  constant.name = name;
  constant.bytes = values.size() * sizeof(float);
  constants.push_back(std::move(values));
  format::layOutConstants(manifest);
  return uint32_t(constants.size() - 1);
}

uint32_t TestModule::storage(StorageKind kind, uint32_t index) {
  manifest.storages.push_back({kind, index, 0, 0});
  return uint32_t(manifest.storages.size() - 1);
}

uint32_t TestModule::arena(ExprId offset, ExprId bytes) {
  manifest.storages.push_back({StorageKind::Arena, 0, offset, bytes});
  return uint32_t(manifest.storages.size() - 1);
}

format::Launch &TestModule::launch(const std::string &kernel, const std::string &node,
                                   const std::vector<uint32_t> &storages,
                                   const std::vector<ExprId> &values, ExprId grid) {
  manifest.kernels.push_back({kernel, kernel});
  format::Launch launch;
  launch.kernel = uint32_t(manifest.kernels.size() - 1);
  launch.name = node;
  launch.source = "net.py:7";
  for (uint32_t storage : storages)
    launch.operands.push_back({storage, number(0)});
  launch.values = values;
  launch.grid = grid;
  launch.scratch_bytes = number(0);
  manifest.steps.push_back(
      {format::Step::Kind::Launch, uint32_t(manifest.schedule.size()), 0, 0, 0, {}});
  manifest.schedule.push_back(std::move(launch));
  return manifest.schedule.back();
}

format::FormatStatus TestModule::write(const std::filesystem::path &path) {
  return format::writeModuleFile(path, kernelImage(), manifest, [&](size_t index) {
    return std::as_bytes(std::span(constants[index]));
  });
}

std::vector<std::byte> kernelImage() {
  std::ifstream in(RTORCH_TEST_KERNELS, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  REQUIRE_FALSE(text.empty());
  std::vector<std::byte> out;
  for (char c : text)
    out.push_back(std::byte(c));
  return out;
}

TestModule scaleModule() {
  TestModule m;
  m.argument("x", m.tensor(DType::F32, {4, 8}, {8, 1})).needed_by = "view";
  m.manifest.arguments[0].source = "net.py:7";
  m.result("y", m.tensor(DType::F32, {4, 8}, {8, 1}));
  m.manifest.arena_bytes = m.number(192);
  const uint32_t x = m.storage(StorageKind::Argument, 0);
  const uint32_t y = m.storage(StorageKind::Result, 0);
  const uint32_t middle = m.arena(m.number(64), m.number(128));
  m.launch("scale", "mul", {x, middle}, m.numbers({32, 16}), m.number(2));
  m.launch("scale", "mul_1", {middle, y}, m.numbers({32, 16}), m.number(2));
  return m;
}

TestModule embeddingModule() {
  TestModule m;
  m.manifest.symbols = {{"s0", 1, 64, 0, 0}, {"s1", 2, 512, 0, 1}};
  const ExprId s0 = m.symbol(0), s1 = m.symbol(1), one = m.number(1),
               eight = m.number(8);
  const ExprId count = m.op(ExprOp::Mul, s0, s1), row = m.op(ExprOp::Mul, eight, s1);
  m.argument("ids", {DType::I64, {s0, s1}, {s1, one}});
  m.result("embedded", {DType::F32, {s0, s1, eight}, {row, eight, one}});
  std::vector<float> table;
  for (int i = 0; i < 80; ++i)
    table.push_back(float(i / 8));
  m.constant("table", table);
  m.manifest.checks.push_back({format::Check::Relation::Eq,
                               m.op(ExprOp::Mod, s1, m.number(2)), m.number(0),
                               "view of [s0, s1] as [s0, s1//2, 2]", "net.py:9"});
  const uint32_t ids = m.storage(StorageKind::Argument, 0);
  const uint32_t weight = m.storage(StorageKind::Constant, 0);
  const uint32_t out = m.storage(StorageKind::Result, 0);
  m.launch("gather", "embedding", {ids, weight, out}, {count, m.number(10), eight},
           count)
      .errors = {{"index out of range in self", "embedding", "net.py:12"}};
  return m;
}

TestModule statefulModule() {
  TestModule m;
  m.argument("x", m.tensor(DType::F32, {8}, {1}));
  m.argument("y", m.tensor(DType::F32, {8}, {1})).mutated = true;
  std::vector<float> initial(8);
  std::iota(initial.begin(), initial.end(), 0.f);
  const uint32_t constant = m.constant("total", initial);
  m.manifest.states.push_back({"total", m.tensor(DType::F32, {8}, {1}), 0, constant});
  const uint32_t x = m.storage(StorageKind::Argument, 0);
  const uint32_t y = m.storage(StorageKind::Argument, 1);
  const uint32_t total = m.storage(StorageKind::State, 0);
  const ExprId n = m.number(8), one = m.number(1);
  m.launch("accumulate", "add_", {x, total}, {n}, one);
  m.launch("accumulate", "add__1", {x, y}, {n}, one);
  format::Result &view = m.result("tail", m.tensor(DType::F32, {6}, {1}));
  view.kind = format::Result::Kind::View;
  view.storage = total;
  view.byte_offset = m.number(8);
  m.result("none", {}).kind = format::Result::Kind::Constant;
  m.result("answer", {}).kind = format::Result::Kind::Int;
  m.manifest.results.back().value = m.number(42);
  return m;
}

TestModule runningSumsModule() {
  TestModule m;
  m.manifest.symbols = {{"s0", 0, 100000, 0, 0}};
  const ExprId s0 = m.symbol(0), width = m.number(1000), one = m.number(1);
  m.argument("x", {DType::F32, {s0, width}, {width, one}});
  m.result("y", {DType::F32, {s0, width}, {width, one}});
  const uint32_t x = m.storage(StorageKind::Argument, 0);
  const uint32_t y = m.storage(StorageKind::Result, 0);
  const ExprId bytes = m.op(ExprOp::Mul, m.number(4000), s0);
  const ExprId rounded = m.op(
      ExprOp::Mul, m.number(64),
      m.op(ExprOp::FloorDiv, m.op(ExprOp::Add, bytes, m.number(63)), m.number(64)));
  m.manifest.arena_bytes = rounded;
  const uint32_t middle = m.arena(m.number(0), rounded);
  m.launch("running_sums", "cumsum", {x, middle}, {width}, s0).scratch_bytes =
      m.number(4000);
  m.launch("running_sums", "cumsum_1", {middle, y}, {width}, s0).scratch_bytes =
      m.number(4000);
  return m;
}

TestModule loopModule() {
  TestModule m;
  m.manifest.symbols = {{"s0", 0, 1000, 0, 0}};
  m.manifest.loops = 1;
  const ExprId s0 = m.symbol(0), eight = m.number(8), one = m.number(1);
  m.manifest.exprs.push_back({ExprOp::Round, 0, 0});
  const ExprId round = ExprId(m.manifest.exprs.size() - 1), bytes = m.number(32);
  const ExprId row = m.op(ExprOp::Mul, round, bytes);
  m.argument("x", {DType::F32, {s0, eight}, {eight, one}});
  m.argument("total", m.tensor(DType::F32, {8}, {1})).mutated = true;
  m.result("rounds", {}).kind = format::Result::Kind::Int;
  m.manifest.results.back().value = s0;
  const uint32_t x = m.storage(StorageKind::Argument, 0);
  const uint32_t total = m.storage(StorageKind::Argument, 1);
  m.manifest.steps.push_back({format::Step::Kind::Loop, 0, 1, 0, s0, {}});
  m.launch("accumulate", "scan", {x, total}, {eight}, one).operands[0].byte_offset =
      row;
  return m;
}

TestModule branchModule() {
  TestModule m;
  m.manifest.loops = 1;
  const ExprId zero = m.number(0), eight = m.number(8), one = m.number(1);
  m.argument("x", m.tensor(DType::F32, {8}, {1}));
  m.argument("total", m.tensor(DType::F32, {8}, {1})).mutated = true;
  m.argument("going", m.tensor(DType::Bool, {}, {}));
  m.argument("doubling", m.tensor(DType::Bool, {}, {}));
  m.result("y", m.tensor(DType::F32, {8}, {1}));
  const uint32_t x = m.storage(StorageKind::Argument, 0);
  const uint32_t total = m.storage(StorageKind::Argument, 1);
  const uint32_t going = m.storage(StorageKind::Argument, 2);
  const uint32_t doubling = m.storage(StorageKind::Argument, 3);
  const uint32_t y = m.storage(StorageKind::Result, 0);
  std::vector<format::Step> &steps = m.manifest.steps;
  steps.push_back({format::Step::Kind::Loop, 0, 1, 0, m.number(5), {{going, zero}}});
  m.launch("accumulate", "add", {x, total}, {eight}, one);
  steps.push_back({format::Step::Kind::Branch, 0, 1, 1, 0, {{doubling, zero}}});
  m.launch("scale", "mul", {total, y}, {eight, eight}, one);
  m.launch("accumulate", "add_1", {x, total}, {eight}, one);
  return m;
}

std::shared_ptr<const executor::Module> load(TestModule module,
                                             const std::filesystem::path &path) {
  auto written = module.write(path);
  INFO((written ? written->message : ""));
  REQUIRE_FALSE(written.has_value());
  auto loaded = executor::Module::load(path, {});
  INFO((loaded.ok() ? "" : loaded.error().message));
  REQUIRE(loaded.ok());
  return *loaded;
}

std::unique_ptr<executor::Instance>
instantiate(std::shared_ptr<const executor::Module> module) {
  auto instance = executor::Instance::create(std::move(module));
  REQUIRE(instance.ok());
  return std::move(*instance);
}

core::Status run(executor::Instance &instance, std::vector<core::Value> arguments,
                 std::vector<core::Value> &results,
                 const executor::RunOptions &options) {
  const executor::Instance::Turn turn(instance);
  if (!turn.taken())
    return executor::Instance::busyError();
  executor::RunReport report;
  return instance.run(turn, arguments, results, options, report);
}

} // namespace rtorch::test
