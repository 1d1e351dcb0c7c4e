// rtorch-run MODULE --inputs in.npz --outputs out.npz
#include "tools/progress/Progress.h"
#include "tools/rtorch-run/Command.h"
#include "tools/rtorch-run/Inputs.h"
#include "tools/rtorch-run/Outputs.h"
#include "tools/rtorch-run/Record.h"
#include "tools/rtorch-run/Support.h"
#include "tools/rtorch-run/Trace.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <rtorch/checkpoint.hpp>

namespace rtorch::run {
namespace {

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// The value below which the fraction `q` of the samples lies.
double quantile(std::vector<double> samples, double q) {
  std::ranges::sort(samples);
  const double position = q * double(samples.size() - 1);
  const auto below = size_t(position);
  const size_t above = std::min(below + 1, samples.size() - 1);
  return samples[below] +
         (samples[above] - samples[below]) * (position - double(below));
}

/// Buffers as they are before the first run, to begin every timed run alike.
class StateSnapshot {
public:
  static Expected<StateSnapshot> take(const Instance &instance, size_t count) {
    StateSnapshot out;
    for (size_t i = 0; i < count; ++i) {
      auto state = instance.state(uint32_t(i));
      if (!state)
        return state.error();
      const auto *begin = static_cast<const std::byte *>(state->raw());
      out.states_.push_back(*state);
      out.bytes_.emplace_back(begin, begin + extent(*state));
    }
    return out;
  }
  void restore() const {
    for (size_t i = 0; i < states_.size(); ++i)
      if (!bytes_[i].empty())
        std::memcpy(states_[i].raw(), bytes_[i].data(), bytes_[i].size());
  }

private:
  static size_t extent(const Tensor &tensor) {
    int64_t last = 0;
    for (size_t d = 0; d < tensor.sizes().size(); ++d)
      last += (tensor.size(d) - 1) * tensor.strides()[d];
    return tensor.numel() == 0 ? 0 : size_t(last + 1) * elementBytes(tensor.dtype());
  }

  std::vector<Tensor> states_;
  std::vector<std::vector<std::byte>> bytes_;
};

/// What is reported of a run.
struct Measured {
  double load = 0;
  double first = 0;
  std::vector<double> latencies; // of the runs after the first, or of the only one
  uint32_t copies = 0;
  MemoryInfo memory;
};

Expected<std::vector<archive::NpyArray>> readInputs(const std::string &path) {
  if (path.empty())
    return std::vector<archive::NpyArray>();
  auto arrays = archive::readNpz(path);
  if (!arrays.ok())
    return fromArchive(arrays.error());
  return std::move(*arrays);
}

Json describeResults(const ModuleInfo &info, std::span<const Value> results) {
  Json out = Json::array();
  for (size_t i = 0; i < results.size(); ++i) {
    Json row = {{"name", info.results[i].name}};
    if (results[i].isTensor()) {
      const Tensor &tensor = results[i].tensor();
      row["dtype"] = dtypeName(tensor.dtype());
      row["sizes"] = std::vector(tensor.sizes().begin(), tensor.sizes().end());
      row["strides"] = std::vector(tensor.strides().begin(), tensor.strides().end());
      if (info.results[i].is_view)
        row["view_of"] = info.results[i].view_of;
    }
    out.push_back(std::move(row));
  }
  return out;
}

void report(const Options &options, const ModuleInfo &info,
            std::span<const Value> results, const Measured &measured) {
  const double median = quantile(measured.latencies, 0.5);
  const double p90 = quantile(measured.latencies, 0.9);
  if (options.json) {
    const Json out = {{"latency_median_s", median},
                      {"latency_p90_s", p90},
                      {"first_s", measured.first},
                      {"load_s", measured.load},
                      {"peak_bytes", measured.memory.peak},
                      {"arena_bytes", measured.memory.arena},
                      {"copies", measured.copies},
                      {"runs", options.repeat},
                      {"results", describeResults(info, results)}};
    std::printf("%s\n", out.dump(2).c_str());
    return;
  }
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].isTensor())
      std::printf("out_%zu %s: %s %s\n", i, info.results[i].name.c_str(),
                  dtypeName(results[i].tensor().dtype()),
                  printList(results[i].tensor().sizes()).c_str());
  std::printf("load %.3f ms, first run %.3f ms, median %.3f ms, p90 %.3f ms, "
              "peak memory %s\n",
              measured.load * 1e3, measured.first * 1e3, median * 1e3, p90 * 1e3,
              printBytes(uint64_t(measured.memory.peak)).c_str());
  if (measured.copies != 0)
    std::printf("%u arguments were copied into the declared strides\n",
                measured.copies);
}

/// The results that later runs compute into: those with memory of their own.
std::vector<Value> targetsOf(const ModuleInfo &info, std::span<const Value> results) {
  std::vector<Value> targets(results.size());
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].isTensor() && !info.results[i].is_view)
      targets[i] = results[i];
  return targets;
}

Expected<void> writeOutputs(const Options &options,
                            std::span<const archive::NpyArray> arrays) {
  if (options.outputs.empty())
    return {};
  auto status = archive::writeNpz(options.outputs, arrays);
  if (!status.ok())
    return fromArchive(status.error());
  return {};
}

/// The module, with the weights of a checkpoint if one is named.
Expected<Module> loadModule(const Options &options) {
  LoadOptions load;
  load.cpu_level = options.cpu_level;
  if (!options.weights.empty()) {
    auto checkpoint = Checkpoint::open(options.weights);
    if (!checkpoint)
      return checkpoint.error();
    auto weights = checkpoint->weights();
    if (!weights)
      return weights.error();
    load.weights = std::move(*weights);
  }
  return Module::load(options.module, load);
}

/// The runs of one command, in order; stops at the first error.
Expected<void> execute(const Options &options, RunRecord &record) {
  auto arrays = readInputs(options.inputs);
  if (!arrays)
    return arrays.error();
  Measured measured;
  tools::Progress progress;
  progress.show("loading " + options.module);
  const double start = now();
  auto module = loadModule(options);
  if (!module)
    return module.error();
  auto instance = module->instance();
  if (!instance)
    return instance.error();
  measured.load = now() - start;

  const ModuleInfo info = module->describe();
  record.loaded(info, measured.load);
  auto inputs = Inputs::read(*arrays, info);
  if (!inputs)
    return inputs.error();
  record.arguments(inputs->values());
  auto snapshot = StateSnapshot::take(*instance, info.states.size());
  if (!snapshot)
    return snapshot.error();
  RunOptions run;
  run.threads = options.threads;
  run.relayout = options.relayout;
  CallFigures call;
  run.copies = &call.copies;
  run.copied_bytes = &call.copiedBytes;
  run.check_ns = &call.checkNs;

  progress.show("run 1 of " + std::to_string(options.repeat));
  const double begin = now();
  auto results = instance->run(inputs->values(), run);
  call.seconds = measured.first = now() - begin;
  measured.copies = call.copies;
  if (!results)
    return results.error();
  record.first(info, *results, call);
  auto outputs = collectOutputs(info, inputs->values(), *results, *instance);
  if (!outputs)
    return outputs.error();

  const std::vector<Value> targets = targetsOf(info, *results);
  auto again = [&]() -> Expected<double> {
    inputs->restore();
    snapshot->restore();
    const double before = now();
    auto done = instance->runInto(inputs->values(), targets, run);
    call.seconds = now() - before;
    if (!done)
      return done.error();
    return call.seconds;
  };
  for (uint32_t i = 1; i < options.repeat; ++i) {
    auto seconds = again();
    if (!seconds)
      return seconds.error();
    measured.latencies.push_back(*seconds);
    record.latency(call);
    progress.show([&] {
      return "run " + std::to_string(i + 1) + " of " + std::to_string(options.repeat);
    });
  }
  if (measured.latencies.empty())
    measured.latencies.push_back(measured.first);
  if (!options.profile.empty()) {
    // A run of its own, so that measuring launches does not slow the timed ones.
    progress.show("profiling");
    Trace trace;
    run.profile = [&](const rtorch_span &span) { trace.add(span); };
    if (auto seconds = again(); !seconds)
      return seconds.error();
    if (auto written = writeText(options.profile, trace.json(info.model)); !written)
      return written;
    record.profile(trace.spans());
  }
  progress.clear();
  auto memory = module->memory(inputs->symbols(info), options.threads);
  if (!memory)
    return memory.error();
  measured.memory = *memory;
  record.memory(*memory);
  if (auto written = writeOutputs(options, *outputs); !written)
    return written;
  report(options, info, *results, measured);
  return {};
}

} // namespace

int runModule(const Options &options) {
  RunRecord record(options);
  auto done = execute(options, record);
  record.finish(done ? nullptr : &done.error());
  return done ? kDone : fail(done.error());
}

} // namespace rtorch::run
