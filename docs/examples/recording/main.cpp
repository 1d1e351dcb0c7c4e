// A program that runs a module and leaves a run in the experiment store, where
// rtorch-store finds, compares and draws it:
//
//   recording net.rtm 100
//   rtorch-store list --kind example
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <rtorch/record.hpp>
#include <rtorch/rtorch.hpp>
#include <vector>

namespace {

/// Zeros for each argument; sizes that vary are 2.
std::vector<rtorch::Value> zeros(const rtorch::ModuleInfo &info) {
  std::vector<rtorch::Value> values;
  for (const rtorch::ValueInfo &argument : info.arguments) {
    std::vector<int64_t> sizes = argument.fixed_sizes;
    std::ranges::replace(sizes, -1, 2);
    const auto tensor = rtorch::Tensor::empty(argument.dtype, sizes);
    std::memset(tensor.raw(), 0,
                size_t(tensor.numel()) * rtorch::elementBytes(argument.dtype));
    values.emplace_back(tensor);
  }
  return values;
}

/// Runs the module so many times; the error's text, or none.
std::string measure(const rtorch::Module &module, int count,
                    rtorch::record::Run *recorded) {
  const std::vector<rtorch::Value> arguments = zeros(module.describe());
  for (int i = 0; i < count; ++i) {
    int64_t checkNs = 0;
    rtorch::RunOptions options;
    options.check_ns = &checkNs;
    const auto begin = std::chrono::steady_clock::now();
    auto results = module.run(arguments, options);
    const std::chrono::duration<double> taken =
        std::chrono::steady_clock::now() - begin;
    if (!results)
      return results.error().code + ": " + results.error().message;
    if (!recorded)
      continue;
    recorded->metric("latency_s", taken.count());
    recorded->metric("check_s", static_cast<double>(checkNs) / 1e9);
  }
  return "";
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fputs("usage: recording MODULE.rtm COUNT\n", stderr);
    return 2;
  }
  const int count = std::atoi(argv[2]);
  // A store that cannot be written is a warning: the program does its work without.
  std::string error;
  auto recorded = rtorch::record::Run::begin(
      "example", {{"model", argv[1]}, {"options", rtorch::record::Json{"{}"}}}, {},
      error);
  if (!recorded)
    std::fprintf(stderr, "warning: this run is not recorded: %s\n", error.c_str());

  auto module = rtorch::Module::load(argv[1]);
  const std::string failed = module
                                 ? measure(*module, count, recorded.get())
                                 : module.error().code + ": " + module.error().message;
  if (recorded) {
    rtorch::record::Fields results{{"runs", int64_t(count)}};
    if (!failed.empty())
      results.emplace_back("error", failed);
    if (!recorded->finish(failed.empty() ? "done" : "failed", results, error))
      std::fprintf(stderr, "warning: this run is recorded in part: %s\n",
                   error.c_str());
    else
      std::printf("recorded as %s\n", recorded->id().c_str());
  }
  if (!failed.empty())
    std::fprintf(stderr, "%s\n", failed.c_str());
  return failed.empty() ? 0 : 1;
}
