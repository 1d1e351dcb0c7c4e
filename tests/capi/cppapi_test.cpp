// The C++ layer over the C interface.
#include <rtorch/checkpoint.hpp>
#include <rtorch/rtorch.hpp>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

namespace {

const std::filesystem::path kFolder = CAPI_FOLDER;

rtorch::Module loaded(const char *name) {
  auto module = rtorch::Module::load(kFolder / name);
  REQUIRE(module);
  return *module;
}

} // namespace

TEST_CASE("a module runs in one line") {
  const rtorch::Module module = loaded("embedding.rtm");
  const std::vector<int64_t> ids = {3, 1, 4, 1};
  auto results = module.run({rtorch::Tensor::borrow(ids, {1, 4})});
  REQUIRE(results);
  const rtorch::Tensor &embedded = (*results)[0].tensor();
  CHECK(embedded.dtype() == rtorch::DType::Float32);
  CHECK(embedded.numel() == 32);
  CHECK(embedded.data<float>()[0] == 3.f);
  CHECK(embedded.at<float>({0, 2, 7}) == 4.f);
}

TEST_CASE("errors are values") {
  auto missing = rtorch::Module::load("/nowhere.rtm");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == "RT_MODULE_IO");
  const rtorch::Module module = loaded("embedding.rtm");
  const std::vector<int64_t> ids = {3, 10};
  auto results = module.run({rtorch::Tensor::borrow(ids, {1, 2})});
  REQUIRE_FALSE(results);
  CHECK(results.error().code == "RT_RUN_FAILED");
  CHECK(results.error().node == "embedding");
  // The module still works.
  const std::vector<int64_t> good = {3, 9};
  CHECK(module.run({rtorch::Tensor::borrow(good, {1, 2})}));
  CHECK_FALSE(module.run({rtorch::Value(3), rtorch::Value()}));
}

TEST_CASE("results own their memory") {
  std::vector<rtorch::Value> kept;
  {
    const rtorch::Module module = loaded("scale.rtm");
    std::vector<float> x(32, 1.f);
    for (int i = 0; i < 3; ++i) {
      auto results = module.run({rtorch::Tensor::borrow(x, {4, 8})});
      REQUIRE(results);
      kept.push_back((*results)[0]);
      x.assign(32, float(i));
    }
  }
  CHECK(kept[0].tensor().data<float>()[31] == 7.f);
  CHECK(kept[1].tensor().data<float>()[31] == 3.f);
  CHECK(kept[2].tensor().data<float>()[31] == 7.f);
}

TEST_CASE("a module with states runs through instances only") {
  const rtorch::Module module = loaded("stateful.rtm");
  std::vector<float> x(8, 1.f), y(8);
  const std::vector<rtorch::Value> arguments = {
      rtorch::Tensor::borrow(std::span<float>(x), {8}),
      rtorch::Tensor::borrow(std::span<float>(y), {8})};
  auto refused = module.run(arguments);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == "RT_MODULE_STATEFUL");
  auto instance = module.instance();
  REQUIRE(instance);
  auto results = instance->run(arguments);
  REQUIRE(results);
  CHECK((*results)[0].tensor().data<float>()[5] == 8.f);
  CHECK((*results)[1].isNone());
  CHECK(std::get<int64_t>((*results)[2].variant()) == 42);
  auto total = instance->state(0);
  REQUIRE(total);
  CHECK(total->data<float>()[0] == 1.f);
  CHECK(instance->runInto(arguments, std::vector<rtorch::Value>(3)));
  CHECK(total->data<float>()[0] == 2.f);
  CHECK(y[0] == 2.f);
}

TEST_CASE("options of a run") {
  const rtorch::Module module = loaded("scale.rtm");
  std::vector<float> columns(32);
  for (size_t i = 0; i < 32; ++i)
    columns[(i % 8) * 4 + i / 8] = float(i);
  const auto x =
      rtorch::Tensor::borrow(rtorch::DType::Float32, columns.data(), {4, 8}, {1, 4});
  auto refused = module.run({x});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == "RT_LAYOUT_STRIDE");
  CHECK(refused.error().source == "net.py:7");
  uint32_t copies = 0;
  size_t spans = 0;
  rtorch::RunOptions options;
  options.relayout = true;
  options.copies = &copies;
  int64_t copiedBytes = 0, checkNs = 0;
  options.copied_bytes = &copiedBytes;
  options.check_ns = &checkNs;
  options.threads = 1;
  options.profile = [&](const rtorch_span &) { ++spans; };
  auto results = module.run({x}, options);
  REQUIRE(results);
  CHECK(copies == 1);
  CHECK(copiedBytes == 4 * 8 * 4);
  CHECK(checkNs > 0);
  CHECK(spans == 2);
  CHECK((*results)[0].tensor().data<float>()[9] == 39.f);
}

TEST_CASE("a module describes itself") {
  auto module = rtorch::Module::load(kFolder / "stateful.rtm", {.describe_only = true});
  REQUIRE(module);
  const rtorch::ModuleInfo info = module->describe();
  REQUIRE(info.arguments.size() == 2);
  CHECK(info.arguments[1].is_mutated);
  CHECK(info.results[0].is_view);
  CHECK(info.results[0].view_of == "buffer 'total'");
  CHECK(info.results[1].is_constant);
  CHECK(info.results[2].value == "42");
  CHECK(info.states[0].name == "total");
  CHECK(info.launches == 2);
  auto memory = module->memory({});
  REQUIRE(memory);
  CHECK(memory->states == 32);
}

TEST_CASE("several threads run one module") {
  const rtorch::Module module = loaded("embedding.rtm");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const std::vector<int64_t> ids(size_t(2 + 2 * t), t);
      for (int i = 0; i < 100; ++i) {
        auto results =
            module.run({rtorch::Tensor::borrow(ids, {1, int64_t(ids.size())})});
        if (!results || (*results)[0].tensor().data<float>().back() != float(t))
          ++wrong;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a caller brings its own threads") {
  const rtorch::Module module = loaded("scale.rtm");
  std::atomic<int> tasks = 0;
  rtorch::RunOptions options;
  options.threads = 3;
  options.parallel = [&](uint32_t threads, const std::function<void(uint32_t)> &task) {
    CHECK(threads <= 3);
    std::vector<std::thread> team;
    for (uint32_t i = 0; i < threads; ++i)
      team.emplace_back([&, i] {
        ++tasks;
        task(i);
      });
    for (std::thread &thread : team)
      thread.join();
  };
  std::vector<float> x(32);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = float(i);
  auto results = module.run({rtorch::Tensor::borrow(x, {4, 8})}, options);
  REQUIRE(results);
  auto expected = module.run({rtorch::Tensor::borrow(x, {4, 8})});
  REQUIRE(expected);
  const rtorch::Tensor &ours = (*results)[0].tensor();
  const rtorch::Tensor &theirs = (*expected)[0].tensor();
  for (int64_t i = 0; i < ours.numel(); ++i)
    CHECK(ours.data<float>()[i] == theirs.data<float>()[i]);
  CHECK(tasks > 1);
}

TEST_CASE("checkpoints are saved, listed and loaded") {
  const std::filesystem::path path = CAPI_FOLDER "/cppapi.rtch";
  std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  std::vector<int64_t> steps = {7};
  const rtorch::Tensor tensor =
      rtorch::Tensor::borrow(std::span(weight), std::vector<int64_t>{2, 3});
  REQUIRE(rtorch::saveCheckpoint(
      path,
      {{"w", tensor, true},
       {"tied", tensor},
       {"steps", rtorch::Tensor::borrow(std::span(steps), std::vector<int64_t>{})}},
      {.user = {{"epoch", "3"}}}));
  auto checkpoint = rtorch::Checkpoint::open(path);
  REQUIRE(checkpoint);
  CHECK(checkpoint->size() == 3);
  CHECK(checkpoint->writer() == std::string("rtorch ") + rtorch_version());
  CHECK(checkpoint->contentId().size() == 32);
  CHECK(checkpoint->user() == std::map<std::string, std::string>{{"epoch", "3"}});
  CHECK(checkpoint->warnings().empty());
  CHECK(checkpoint->tensor(0)->name == "steps");
  auto found = checkpoint->find("w");
  REQUIRE(found);
  CHECK(found->alias_of == "tied"); // the first of the names has the bytes
  CHECK(found->dtype_name == "F32");
  CHECK(found->tensor->at<float>({1, 2}) == 6);
  CHECK(checkpoint->find("none").error().code == "RT_CHECKPOINT_MISMATCH");

  auto columns = rtorch::Tensor::empty(rtorch::DType::Float32, {3, 2});
  const auto turned = rtorch::Tensor::borrow(rtorch::DType::Float32, columns.raw(),
                                             {2, 3}, std::vector<int64_t>{1, 2});
  const std::vector<rtorch::NamedTensor> targets = {{"w", turned}};
  CHECK(checkpoint->load(targets).error().code == "RT_CHECKPOINT_MISMATCH");
  REQUIRE(checkpoint->load(targets, /*strict=*/false));
  CHECK(columns.at<float>({2, 0}) == 3);
  CHECK(columns.at<float>({0, 1}) == 4);
}
