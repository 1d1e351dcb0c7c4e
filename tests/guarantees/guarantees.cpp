// Measures what the runtime promises, on a module and inputs for it:
//   guarantees CHECK MODULE.rtm INPUTS.npz...
// Each .npz has arrays arg_0, arg_1, ... for one call. Prints lines "name number".
// A program of its own, because it counts what the whole process allocates.
#include "runtime/archive/Npz.h"
#include "tests/guarantees/Allocations.h"

#include <rtorch/runtime.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string &message) {
  std::fprintf(stderr, "guarantees: %s\n", message.c_str());
  std::exit(1);
}

void succeed(rtorch_error *error) {
  if (error)
    fail(std::string(rtorch_error_code(error)) + ": " + rtorch_error_message(error));
}

void print(const char *name, double value) { std::printf("%s %.10g\n", name, value); }

double millisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

int32_t dtypeOf(rtorch::archive::NpyType type) {
  struct Row {
    char kind;
    uint8_t width;
    int32_t dtype;
  };
  static constexpr Row rows[] = {
      {'b', 1, RTORCH_BOOL},    {'u', 1, RTORCH_UINT8},   {'i', 1, RTORCH_INT8},
      {'i', 2, RTORCH_INT16},   {'i', 4, RTORCH_INT32},   {'i', 8, RTORCH_INT64},
      {'f', 2, RTORCH_FLOAT16}, {'f', 4, RTORCH_FLOAT32}, {'f', 8, RTORCH_FLOAT64}};
  for (const Row &row : rows)
    if (row.kind == type.kind && row.width == type.width)
      return row.dtype;
  fail("no dtype for " + type.str());
}

/// The arguments of one call.
struct Inputs {
  std::vector<rtorch::archive::NpyArray> arrays;
  std::vector<rtorch_value> values;

  explicit Inputs(const char *path) {
    auto read = rtorch::archive::readNpz(path);
    if (!read)
      fail(read.message());
    arrays = std::move(*read);
    values.resize(arrays.size());
    for (rtorch::archive::NpyArray &array : arrays) {
      const size_t index = std::stoul(array.name.substr(std::strlen("arg_")));
      if (index >= values.size())
        fail(std::string(path) + ": no arrays arg_0, arg_1, ...");
      values[index] = {sizeof(rtorch_value),
                       RTORCH_VALUE_TENSOR,
                       dtypeOf(array.type),
                       uint32_t(array.shape.size()),
                       array.shape.data(),
                       array.strides.data(),
                       const_cast<std::byte *>(array.bytes.data()),
                       0,
                       0,
                       nullptr};
    }
  }
};

class Module {
public:
  explicit Module(const char *path) { succeed(rtorch_module_load(path, nullptr, &it)); }
  Module(const char *path, const rtorch_load_options &options) {
    succeed(rtorch_module_load(path, &options, &it));
  }
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  ~Module() { rtorch_module_destroy(it); }
  rtorch_module_info info() const {
    rtorch_module_info info{};
    info.struct_size = sizeof info;
    succeed(rtorch_module_describe(it, &info));
    return info;
  }
  rtorch_module *it = nullptr;
};

class Instance {
public:
  explicit Instance(const Module &module) : results(module.info().result_count) {
    succeed(rtorch_instance_create(module.it, &it_));
  }
  Instance(const Instance &) = delete;
  Instance &operator=(const Instance &) = delete;
  ~Instance() { rtorch_instance_destroy(it_); }

  void run(const Inputs &inputs, uint32_t threads) {
    rtorch_run_options options = RTORCH_RUN_OPTIONS_INIT;
    options.threads = threads;
    for (rtorch_value &result : results)
      result = RTORCH_VALUE_INIT;
    succeed(rtorch_instance_run(it_, inputs.values.data(),
                                uint32_t(inputs.values.size()), results.data(),
                                uint32_t(results.size()), &options));
  }

  /// The bytes of all tensor results of the last run, one behind the other.
  std::string bytes() const {
    std::string all;
    for (const rtorch_value &result : results) {
      if (result.kind != RTORCH_VALUE_TENSOR)
        continue;
      int64_t elements = 1;
      for (uint32_t d = 0; d < result.rank; ++d)
        elements = result.sizes[d] == 0
                       ? 0
                       : elements + (result.sizes[d] - 1) * result.strides[d];
      all.append(static_cast<const char *>(result.data),
                 size_t(std::max<int64_t>(elements, 0)) *
                     rtorch_dtype_bytes(result.dtype));
    }
    return all;
  }

  std::vector<rtorch_value> results;

private:
  rtorch_instance *it_ = nullptr;
};

/// A number of kilobytes that a file of /proc/self states after `name`.
double kilobytes(const char *file, const std::string &name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name))
      return std::stod(line.substr(name.size()));
  fail(std::string(file) + " does not state " + name);
}

/// Resident kilobytes of what is mapped of that file.
double residentOf(const char *path) {
  const std::string real = std::filesystem::canonical(path).string();
  std::ifstream in("/proc/self/smaps");
  double sum = 0;
  bool ours = false;
  for (std::string line; std::getline(in, line);) {
    if (line.find('-') < line.find(' ') && line.find(':') > line.find(' '))
      ours = line.ends_with(real);
    else if (ours && line.starts_with("Rss:"))
      sum += std::stod(line.substr(4));
  }
  return sum;
}

double openFiles() {
  using Iterator = std::filesystem::directory_iterator;
  return double(std::distance(Iterator("/proc/self/fd"), Iterator()));
}

double cpuMicroseconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto micros = [](const timeval &time) {
    return double(time.tv_sec) * 1e6 + double(time.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

using AllInputs = std::vector<Inputs>;

/// How often the process allocates in runs with sizes seen before.
void checkAllocations(const char *path, const AllInputs &inputs) {
  const Module module(path);
  Instance instance(module);
  auto round = [&] {
    for (uint32_t threads : {1u, 2u})
      for (const Inputs &each : inputs)
        instance.run(each, threads);
  };
  for (int warm = 0; warm < 3; ++warm) {
    round();
    // A worker that is still starting allocates in the sanitizers' own code.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const size_t before = rtorch::test::allocations();
  for (int i = 0; i < 10; ++i)
    round();
  print("allocations", double(rtorch::test::allocations() - before));
  // The counter works: this much is new.
  Instance fresh(module);
  print("allocations_of_an_instance", double(rtorch::test::allocations() - before));
}

/// CPU time of a second after runs on several threads.
void checkIdle(const char *path, const AllInputs &inputs) {
  const Module module(path);
  Instance instance(module);
  for (int i = 0; i < 5; ++i)
    instance.run(inputs.front(), 4);
  print("threads", kilobytes("/proc/self/status", "Threads:"));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const double before = cpuMicroseconds();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  print("idle_cpu_ms", (cpuMicroseconds() - before) / 1000);
}

/// Threads of the process after a run that does not say how many it wants.
void checkPool(const char *path, const AllInputs &inputs) {
  const Module module(path);
  Instance instance(module);
  for (int i = 0; i < 5; ++i)
    instance.run(inputs.front(), 0);
  print("threads", kilobytes("/proc/self/status", "Threads:"));
}

/// Results of runs that many threads start at once, each on an instance of its own.
void checkTogether(const char *path, const AllInputs &inputs) {
  const Module module(path);
  std::vector<std::string> expected;
  expected.reserve(inputs.size());
  for (const Inputs &each : inputs) {
    Instance instance(module);
    instance.run(each, 1);
    expected.push_back(instance.bytes());
  }
  constexpr int callers = 8, rounds = 12;
  std::barrier start(callers);
  std::atomic<int> different = 0;
  std::vector<std::thread> threads;
  threads.reserve(callers);
  for (int caller = 0; caller < callers; ++caller)
    threads.emplace_back([&, caller] {
      for (int i = 0; i < rounds; ++i) {
        const size_t which = size_t(caller + i) % inputs.size();
        Instance instance(module);
        start.arrive_and_wait();
        instance.run(inputs[which], 1 + uint32_t(caller + i) % 4);
        different += instance.bytes() != expected[which];
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  print("runs", callers * rounds);
  print("different", different);
}

/// What 1,000 loads, runs and unloads leave behind, measured from the 100th on.
void checkReload(const char *path, const AllInputs &inputs) {
  double resident = 0, files = 0, heap = 0;
  for (int i = 0; i < 1000; ++i) {
    {
      const Module module(path);
      Instance instance(module);
      instance.run(inputs.front(), 2);
    }
    if (i == 99 || i == 999) {
      const double sign = i == 99 ? -1 : 1;
      resident += sign * kilobytes("/proc/self/status", "VmRSS:");
      files += sign * openFiles();
      heap += sign * double(rtorch::test::liveAllocations());
    }
  }
  print("more_resident_kb", resident);
  print("more_open_files", files);
  print("more_allocations", heap);
}

/// Time and memory of loading the module and of its first run.
void checkFootprint(const char *path, const AllInputs &inputs) {
  const char *trust = std::getenv("TRUST_CONSTANTS");
  rtorch_load_options options = RTORCH_LOAD_OPTIONS_INIT;
  options.trust_constants = trust && *trust;
  const double before = kilobytes("/proc/self/status", "VmRSS:");
  const auto begin = Clock::now();
  const Module module(path, options);
  Instance instance(module);
  print("load_ms", millisecondsSince(begin));
  instance.run(inputs.front(), 1);
  print("load_and_first_run_ms", millisecondsSince(begin));
  const double resident = kilobytes("/proc/self/status", "VmRSS:");
  print("resident_kb", resident);
  print("resident_before_kb", before);
  print("resident_of_module_kb", residentOf(path));

  std::vector<int64_t> symbols;
  for (uint32_t i = 0; i < module.info().symbol_count; ++i) {
    rtorch_symbol_info info{};
    info.struct_size = sizeof info;
    succeed(rtorch_module_symbol(module.it, i, &info));
    if (info.dim < 0)
      fail("expected symbols that are sizes of arguments");
    symbols.push_back(inputs.front().values[info.argument].sizes[info.dim]);
  }
  rtorch_memory_info memory{};
  memory.struct_size = sizeof memory;
  succeed(rtorch_module_memory(module.it, symbols.data(), uint32_t(symbols.size()), 1,
                               &memory));
  print("arena_kb", double(memory.arena_bytes) / 1024);
  print("constants_kb", double(memory.constant_bytes) / 1024);
}

/// Nanoseconds of one call: the smallest mean of several batches, so that a disturbance
/// of the machine does not count.
void checkCall(const char *path, const AllInputs &inputs) {
  const Module module(path);
  Instance instance(module);
  constexpr int batches = 50, calls = 2000;
  double smallest = 1e30;
  for (int batch = 0; batch < batches; ++batch) {
    const auto begin = Clock::now();
    for (int i = 0; i < calls; ++i)
      instance.run(inputs.front(), 1);
    smallest = std::min(smallest, millisecondsSince(begin) * 1e6 / calls);
  }
  print("ns_per_call", smallest);
}

struct Check {
  const char *name;
  void (*run)(const char *path, const AllInputs &inputs);
};
constexpr Check kChecks[] = {
    {"allocations", checkAllocations},
    {"idle", checkIdle},
    {"pool", checkPool},
    {"together", checkTogether},
    {"reload", checkReload},
    {"footprint", checkFootprint},
    {"call", checkCall},
};

} // namespace

int main(int argc, char **argv) {
  if (argc < 4)
    fail("expected CHECK MODULE.rtm INPUTS.npz...");
  AllInputs inputs;
  for (int i = 3; i < argc; ++i)
    inputs.emplace_back(argv[i]);
  for (const Check &check : kChecks)
    if (std::string(argv[1]) == check.name) {
      check.run(argv[2], inputs);
      return 0;
    }
  fail(std::string("there is no check '") + argv[1] + "'");
}
