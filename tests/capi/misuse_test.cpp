// Every exported function, called wrongly in every way that its signature allows: each
// call gives an error value with a message, and prints nothing. The list of functions
// is the header's, so that a new one without cases fails.
#include "tests/capi/misuse.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

using namespace rtorch::misuse;

namespace {

/// The path of a module of the fixture; the folder itself for "".
std::string inFolder(const char *name) { return std::string(CAPI_FOLDER) + name; }

/// The modules of the fixture, loaded, and an instance of each.
struct Loaded {
  rtorch_module *module = nullptr;
  rtorch_instance *instance = nullptr;
  explicit Loaded(const char *name) {
    REQUIRE(
        codeOf(rtorch_module_load(inFolder(name).c_str(), nullptr, &module)).empty());
    REQUIRE(codeOf(rtorch_instance_create(module, &instance)).empty());
  }
  Loaded(const Loaded &) = delete;
  Loaded &operator=(const Loaded &) = delete;
  ~Loaded() {
    rtorch_instance_destroy(instance);
    rtorch_module_destroy(module);
  }
};

/// What the calls write to stdout and stderr while this lives.
class Output {
public:
  Output() : file_(memfd_create("output", 0)) {
    for (int fd : {1, 2}) {
      saved_.push_back(dup(fd));
      dup2(file_, fd);
    }
  }
  Output(const Output &) = delete;
  Output &operator=(const Output &) = delete;
  ~Output() {
    restore();
    close(file_);
  }
  off_t restore() {
    for (int fd : {1, 2})
      if (!saved_.empty())
        dup2(saved_[size_t(fd - 1)], fd);
    for (int fd : saved_)
      close(fd);
    saved_.clear();
    return lseek(file_, 0, SEEK_END);
  }

private:
  int file_;
  std::vector<int> saved_;
};

/// Cases of functions of the form f(module, index, info).
template <typename Info, typename Function>
std::vector<Case> queries(const Loaded &loaded, Function function, uint32_t count) {
  rtorch_module *module = loaded.module;
  auto with = [=](rtorch_module *handle, uint32_t index, uint32_t bytes) {
    return [=] {
      Info info = sized<Info>(bytes);
      return codeOf(function(handle, index, &info));
    };
  };
  const auto whole = uint32_t(sizeof(Info));
  return {
      {"no module", "RT_API_USAGE", with(nullptr, 0, whole)},
      {"no info", "RT_API_USAGE", [=] { return codeOf(function(module, 0, nullptr)); }},
      {"nothing at all", "RT_API_USAGE",
       [=] { return codeOf(function(nullptr, kMany, nullptr)); }},
      {"the first index out of range", "RT_API_USAGE", with(module, count, whole)},
      {"the largest index", "RT_API_USAGE", with(module, kMany, whole)},
      {"a struct without its size", "RT_API_USAGE", with(module, 0, 0)},
      {"a struct that is too short", "RT_API_USAGE", with(module, 0, whole - 8)},
      {"a struct of odd size", "RT_API_USAGE", with(module, 0, whole + 1)},
      {"a struct of a size that was never set", "RT_API_USAGE", with(module, 0, kMany)},
  };
}

/// A call of the embedding: ids of sizes [2, 2] in, floats of sizes [2, 2, 8] out.
struct Call {
  std::vector<int64_t> ids = {1, 2, 3, 4};
  std::vector<int64_t> sizes = {2, 2}, strides = {2, 1};
  std::vector<int64_t> result_sizes = {2, 2, 8}, result_strides = {16, 8, 1};
  std::vector<float> memory = std::vector<float>(32);
  rtorch_instance *instance;
  rtorch_value argument = RTORCH_VALUE_INIT, result = RTORCH_VALUE_INIT;
  rtorch_value *arguments = &argument, *results = &result;
  uint32_t argument_count = 1, result_count = 1;
  rtorch_run_options options = RTORCH_RUN_OPTIONS_INIT;

  explicit Call(rtorch_instance *run) : instance(run) {
    argument = tensor(RTORCH_INT64, sizes, strides, ids.data());
  }
  static rtorch_value tensor(int32_t dtype, const std::vector<int64_t> &sizes,
                             const std::vector<int64_t> &strides, void *data) {
    return {sizeof(rtorch_value),
            RTORCH_VALUE_TENSOR,
            dtype,
            uint32_t(sizes.size()),
            sizes.data(),
            strides.data(),
            data,
            0,
            0,
            nullptr};
  }
  void giveResult() {
    result = tensor(RTORCH_FLOAT32, result_sizes, result_strides, memory.data());
  }
  std::string run() {
    return codeOf(rtorch_instance_run(instance, arguments, argument_count, results,
                                      result_count, &options));
  }
};

std::vector<Case> runs(const Loaded &loaded) {
  std::vector<Case> cases;
  auto add = [&](const char *what, const char *expected,
                 const std::function<void(Call &)> &spoil) {
    cases.push_back({what, expected, [&loaded, spoil] {
                       Call call(loaded.instance);
                       spoil(call);
                       return call.run();
                     }});
  };
  add("a good call", "", [](Call &) {});
  add("no instance", "RT_API_USAGE", [](Call &c) { c.instance = nullptr; });
  add("nothing at all", "RT_API_USAGE", [](Call &c) {
    c.instance = nullptr;
    c.arguments = c.results = nullptr;
  });
  add("no arguments, but a count", "RT_API_USAGE",
      [](Call &c) { c.arguments = nullptr; });
  add("no results, but a count", "RT_API_USAGE", [](Call &c) { c.results = nullptr; });
  add("no arguments", "RT_ARGUMENT_COUNT", [](Call &c) { c.argument_count = 0; });
  add("no results", "RT_ARGUMENT_COUNT", [](Call &c) { c.result_count = 0; });
  for (uint32_t size : {0u, 8u, uint32_t(sizeof(rtorch_value)) + 1, kMany}) {
    add("struct_size of an argument", "RT_API_USAGE",
        [=](Call &c) { c.argument.struct_size = size; });
    add("struct_size of a result", "RT_API_USAGE",
        [=](Call &c) { c.result.struct_size = size; });
    add("struct_size of the options", "RT_API_USAGE",
        [=](Call &c) { c.options.struct_size = size; });
  }
  for (int32_t number : {-1, 10, 99, INT32_MAX, INT32_MIN}) {
    add("no dtype", "RT_API_USAGE", [=](Call &c) { c.argument.dtype = number; });
    add("no kind", "RT_API_USAGE", [=](Call &c) { c.argument.kind = number; });
    add("no kind of result", "RT_API_USAGE", [=](Call &c) { c.result.kind = number; });
    add("no dtype of result", "RT_API_USAGE", [=](Call &c) {
      c.giveResult();
      c.result.dtype = number;
    });
  }
  add("another kind", "RT_ARGUMENT_KIND",
      [](Call &c) { c.argument.kind = RTORCH_VALUE_STRING; });
  add("None", "RT_ARGUMENT_KIND", [](Call &c) { c.argument = RTORCH_VALUE_INIT; });
  add("another dtype", "RT_ARGUMENT_DTYPE",
      [](Call &c) { c.argument.dtype = RTORCH_INT32; });
  add("a smaller rank", "RT_LAYOUT_RANK", [](Call &c) { c.argument.rank = 1; });
  add("rank 0 without sizes", "RT_LAYOUT_RANK", [](Call &c) {
    c.argument.rank = 0;
    c.argument.sizes = c.argument.strides = nullptr;
  });
  add("a rank that no tensor has", "RT_API_USAGE",
      [](Call &c) { c.argument.rank = kMany; });
  add("no sizes", "RT_API_USAGE", [](Call &c) { c.argument.sizes = nullptr; });
  add("no strides are row-major ones", "",
      [](Call &c) { c.argument.strides = nullptr; });
  add("no memory", "RT_ARGUMENT_NULL", [](Call &c) { c.argument.data = nullptr; });
  add("memory that is not aligned", "RT_LAYOUT_ALIGNMENT",
      [](Call &c) { c.argument.data = reinterpret_cast<char *>(c.ids.data()) + 1; });
  add("a negative size", "RT_LAYOUT_SIZE", [](Call &c) { c.sizes[0] = -1; });
  add("the smallest size", "RT_LAYOUT_SIZE", [](Call &c) { c.sizes[1] = INT64_MIN; });
  add("a size out of range", "RT_LAYOUT_RANGE", [](Call &c) { c.sizes[0] = 65; });
  add("the largest size", "RT_LAYOUT_RANGE", [](Call &c) { c.sizes[1] = INT64_MAX; });
  add("the largest sizes without strides", "RT_LAYOUT_RANGE", [](Call &c) {
    c.sizes = {INT64_MAX, INT64_MAX};
    c.argument.strides = nullptr;
  });
  add("a relation that does not hold", "RT_LAYOUT_CHECK",
      [](Call &c) { c.sizes[1] = 3; });
  for (int64_t stride : {int64_t(0), int64_t(-1), int64_t(7), INT64_MAX, INT64_MIN})
    add("another stride", "RT_LAYOUT_STRIDE", [=](Call &c) { c.strides[0] = stride; });
  add("an index out of range", "RT_RUN_FAILED", [](Call &c) { c.ids[3] = INT64_MIN; });

  add("memory for the result", "", [](Call &c) { c.giveResult(); });
  add("memory for the result of another dtype", "RT_ARGUMENT_DTYPE", [](Call &c) {
    c.giveResult();
    c.result.dtype = RTORCH_FLOAT64;
  });
  add("a result of another rank", "RT_LAYOUT_RANK", [](Call &c) {
    c.giveResult();
    c.result.rank = 2;
  });
  add("a result without sizes", "RT_API_USAGE", [](Call &c) {
    c.giveResult();
    c.result.sizes = nullptr;
  });
  add("a result of negative size", "RT_LAYOUT_SIZE", [](Call &c) {
    c.giveResult();
    c.result_sizes[2] = -8;
  });
  add("a result of other strides", "RT_LAYOUT_STRIDE", [](Call &c) {
    c.giveResult();
    c.result_strides[0] = 32;
  });
  add("a result that is not aligned", "RT_LAYOUT_ALIGNMENT", [](Call &c) {
    c.giveResult();
    c.result.data = reinterpret_cast<char *>(c.memory.data()) + 2;
  });
  add("a result in the argument's memory", "RT_LAYOUT_OVERLAP", [](Call &c) {
    c.giveResult();
    c.argument.data = c.memory.data() + 16;
  });
  add("an arena that is not aligned", "RT_MEMORY_ARENA", [](Call &c) {
    c.options.arena = reinterpret_cast<char *>(c.memory.data()) + 1;
    c.options.arena_bytes = 1;
  });
  add("an allocator that gives nothing", "RT_MEMORY_EXHAUSTED", [](Call &c) {
    c.options.allocate = [](void *, uint32_t, const rtorch_value *, size_t) -> void * {
      return nullptr;
    };
  });
  add("an allocator that gives bad memory", "RT_LAYOUT_ALIGNMENT", [](Call &c) {
    c.options.allocate = [](void *, uint32_t, const rtorch_value *, size_t) -> void * {
      static char memory[4];
      return memory + 1;
    };
  });
  add("more threads than can be", "", [](Call &c) { c.options.threads = kMany; });
  cases.push_back({"no options", "", [&loaded] {
                     Call c(loaded.instance);
                     return codeOf(rtorch_instance_run(loaded.instance, c.arguments, 1,
                                                       c.results, 1, nullptr));
                   }});
  return cases;
}

std::vector<Case> loads() {
  static const std::string good = inFolder("/scale.rtm");
  auto load = [](const char *path, const rtorch_load_options *options) {
    // A failure leaves no module, whatever was there.
    auto *module = reinterpret_cast<rtorch_module *>(1);
    const std::string code = codeOf(rtorch_module_load(path, options, &module));
    if (code.empty())
      rtorch_module_destroy(module);
    return code.empty() || module == nullptr ? code : "a module is left";
  };
  auto withSize = [=](uint32_t size) {
    return [=] {
      auto options = sized<rtorch_load_options>(size);
      return load(good.c_str(), &options);
    };
  };
  // Whatever is wrong, the weights' owner is told once that they are free.
  auto withWeights = [=](const std::function<void(rtorch_named_tensor &)> &spoil) {
    return [=] {
      static int released;
      released = 0;
      float memory[4] = {};
      const int64_t sizes[2] = {2, 2};
      rtorch_named_tensor weight = RTORCH_NAMED_TENSOR_INIT;
      weight.name = "w";
      weight.value.kind = RTORCH_VALUE_TENSOR;
      weight.value.dtype = RTORCH_FLOAT32;
      weight.value.rank = 2;
      weight.value.sizes = sizes;
      weight.value.data = memory;
      spoil(weight);
      rtorch_load_options options = RTORCH_LOAD_OPTIONS_INIT;
      options.weights = &weight;
      options.weight_count = 1;
      options.release = [](void *) { ++released; };
      const std::string code = load(good.c_str(), &options);
      return released == 1 ? code : code + " and released " + std::to_string(released);
    };
  };
  return {
      {"weights for a module that has its own", "RT_MODULE_WEIGHTS",
       withWeights([](auto &) {})},
      {"a weight without a name", "RT_API_USAGE",
       withWeights([](auto &w) { w.name = nullptr; })},
      {"a weight without its size", "RT_API_USAGE",
       withWeights([](auto &w) { w.struct_size = 0; })},
      {"a weight that is no tensor", "RT_API_USAGE",
       withWeights([](auto &w) { w.value.kind = RTORCH_VALUE_INT; })},
      {"a weight of no dtype", "RT_API_USAGE",
       withWeights([](auto &w) { w.value.dtype = 10; })},
      {"a weight without memory", "RT_API_USAGE",
       withWeights([](auto &w) { w.value.data = nullptr; })},
      {"a weight without sizes", "RT_API_USAGE",
       withWeights([](auto &w) { w.value.sizes = nullptr; })},
      {"a weight of the largest rank", "RT_API_USAGE",
       withWeights([](auto &w) { w.value.rank = kMany; })},
      {"no weights, but a count", "RT_API_USAGE",
       [=] {
         rtorch_load_options options = RTORCH_LOAD_OPTIONS_INIT;
         options.weight_count = kMany;
         return load(good.c_str(), &options);
       }},
      {"a CPU that the module has no code for", "RT_MODULE_TARGET",
       [=] {
         rtorch_load_options options = RTORCH_LOAD_OPTIONS_INIT;
         options.cpu_level = "no-such-cpu";
         return load(good.c_str(), &options);
       }},
      {"no path", "RT_API_USAGE", [=] { return load(nullptr, nullptr); }},
      {"no place for the module", "RT_API_USAGE",
       [] { return codeOf(rtorch_module_load(good.c_str(), nullptr, nullptr)); }},
      {"nothing at all", "RT_API_USAGE",
       [] { return codeOf(rtorch_module_load(nullptr, nullptr, nullptr)); }},
      {"an empty path", "RT_MODULE_IO", [=] { return load("", nullptr); }},
      {"a folder", "RT_MODULE_FORMAT",
       [=] { return load(inFolder("").c_str(), nullptr); }},
      {"a device", "RT_MODULE_FORMAT", [=] { return load("/dev/null", nullptr); }},
      {"a path that is too long", "RT_MODULE_IO",
       [=] { return load(std::string(100000, 'x').c_str(), nullptr); }},
      {"options without their size", "RT_API_USAGE", withSize(0)},
      {"options that are too short", "RT_API_USAGE", withSize(4)},
      {"options of a size that was never set", "RT_API_USAGE", withSize(kMany)},
  };
}

std::vector<Case> embedded() {
  static const std::string path = inFolder("/scale.rtm");
  auto open = [](const rtorch_embedded_module *embedded) {
    auto *module = reinterpret_cast<rtorch_module *>(1);
    const std::string code =
        codeOf(rtorch_module_open_embedded(embedded, nullptr, &module));
    if (code.empty())
      rtorch_module_destroy(module);
    return code.empty() || module == nullptr ? code : "a module is left";
  };
  // Bytes of a module file, as good as those of a library but for the image before
  // them.
  auto with = [=](const std::function<void(rtorch_embedded_module &)> &spoil) {
    return [=] {
      std::ifstream in(path, std::ios::binary);
      const std::string file{std::istreambuf_iterator<char>(in), {}};
      std::vector<char> memory(file.size() + 128);
      char *aligned = memory.data();
      aligned += 64 - reinterpret_cast<uintptr_t>(aligned) % 64;
      std::memcpy(aligned, file.data(), file.size());
      rtorch_embedded_module embedded{};
      embedded.struct_size = sizeof embedded;
      embedded.name = "m";
      embedded.bytes = aligned;
      embedded.byte_count = file.size();
      spoil(embedded);
      return open(&embedded);
    };
  };
  static const rtorch_embedded_kernel noSymbol = {nullptr, [] {}};
  static const rtorch_embedded_kernel noFunction = {"scale", nullptr};
  return {
      {"no kernels, which it needs", "RT_MODULE_LINK", with([](auto &) {})},
      {"no name, and no kernels", "RT_MODULE_LINK",
       with([](auto &e) { e.name = nullptr; })},
      {"no bytes", "RT_API_USAGE", with([](auto &e) { e.bytes = nullptr; })},
      {"no kernels, but a count", "RT_API_USAGE",
       with([](auto &e) { e.kernel_count = kMany; })},
      {"a kernel without a name", "RT_API_USAGE", with([](auto &e) {
         e.kernels = &noSymbol;
         e.kernel_count = 1;
       })},
      {"a kernel without a function", "RT_API_USAGE", with([](auto &e) {
         e.kernels = &noFunction;
         e.kernel_count = 1;
       })},
      {"bytes that are too few", "RT_MODULE_FORMAT",
       with([](auto &e) { e.byte_count = 10; })},
      {"bytes that end early", "RT_MODULE_FORMAT",
       with([](auto &e) { e.byte_count -= 64; })},
      {"bytes that begin too late", "RT_MODULE_DAMAGED", with([](auto &e) {
         e.bytes = static_cast<const char *>(e.bytes) + 64;
         e.byte_count -= 64;
       })},
      {"bytes that are not aligned", "RT_MODULE_DAMAGED",
       with([](auto &e) { e.bytes = static_cast<const char *>(e.bytes) + 1; })},
      {"a struct without its size", "RT_API_USAGE",
       with([](auto &e) { e.struct_size = 0; })},
      {"no module", "RT_API_USAGE", [=] { return open(nullptr); }},
      {"no place for the module", "RT_API_USAGE",
       [] {
         rtorch_embedded_module none{};
         return codeOf(rtorch_module_open_embedded(&none, nullptr, nullptr));
       }},
  };
}

std::vector<Case> memories(const Loaded &loaded) {
  rtorch_module *module = loaded.module;
  auto memory = [](rtorch_module *handle, const std::vector<int64_t> &symbols,
                   uint32_t bytes, uint32_t threads = 1) {
    return [=] {
      auto info = sized<rtorch_memory_info>(bytes);
      return codeOf(rtorch_module_memory(handle, symbols.data(),
                                         uint32_t(symbols.size()), threads, &info));
    };
  };
  const auto whole = uint32_t(sizeof(rtorch_memory_info));
  return {
      {"a good call", "", memory(module, {4, 6}, whole)},
      {"more threads than can be", "", memory(module, {4, 6}, whole, kMany)},
      {"no module", "RT_API_USAGE", memory(nullptr, {4, 6}, whole)},
      {"too few values", "RT_API_USAGE", memory(module, {4}, whole)},
      {"too many values", "RT_API_USAGE", memory(module, {4, 6, 8}, whole)},
      {"a struct that is too short", "RT_API_USAGE", memory(module, {4, 6}, whole - 8)},
      {"a negative value", "RT_LAYOUT_RANGE", memory(module, {-4, 6}, whole)},
      {"the largest value", "RT_LAYOUT_RANGE", memory(module, {4, INT64_MAX}, whole)},
      {"a relation that does not hold", "RT_LAYOUT_CHECK",
       memory(module, {4, 7}, whole)},
      {"no values, but a count", "RT_API_USAGE",
       [=] {
         auto info = sized<rtorch_memory_info>();
         return codeOf(rtorch_module_memory(module, nullptr, 2, 1, &info));
       }},
      {"no values, and the largest count", "RT_API_USAGE",
       [=] {
         auto info = sized<rtorch_memory_info>();
         return codeOf(rtorch_module_memory(module, nullptr, kMany, 1, &info));
       }},
      {"no info", "RT_API_USAGE",
       [=] { return codeOf(rtorch_module_memory(module, nullptr, 0, 1, nullptr)); }},
  };
}

std::vector<Case> layouts(const Loaded &loaded, const Loaded &stateful) {
  rtorch_module *module = loaded.module, *other = stateful.module;
  auto layout = [](rtorch_module *handle, const std::vector<int64_t> &symbols,
                   uint32_t index, bool room = true) {
    return [=] {
      int64_t sizes[3], strides[3];
      return codeOf(rtorch_module_result_layout(
          handle, symbols.data(), uint32_t(symbols.size()), index,
          room ? sizes : nullptr, room ? strides : nullptr));
    };
  };
  return {
      {"a good call", "", layout(module, {4, 6}, 0)},
      {"no module", "RT_API_USAGE", layout(nullptr, {4, 6}, 0)},
      {"no room", "RT_API_USAGE", layout(module, {4, 6}, 0, false)},
      {"an index out of range", "RT_API_USAGE", layout(module, {4, 6}, 1)},
      {"the largest index", "RT_API_USAGE", layout(module, {4, 6}, kMany)},
      {"too few values", "RT_API_USAGE", layout(module, {}, 0)},
      {"a value out of range", "RT_LAYOUT_RANGE", layout(module, {0, 6}, 0)},
      {"a result that is no tensor", "RT_API_USAGE", layout(other, {}, 1)},
      {"no values, but a count", "RT_API_USAGE",
       [=] {
         int64_t sizes[3], strides[3];
         return codeOf(
             rtorch_module_result_layout(module, nullptr, 2, 0, sizes, strides));
       }},
  };
}

std::vector<Case> states(const Loaded &loaded, const Loaded &stateful) {
  auto state = [](rtorch_instance *handle, uint32_t index, uint32_t bytes) {
    return [=] {
      auto value = sized<rtorch_value>(bytes);
      return codeOf(rtorch_instance_state(handle, index, &value));
    };
  };
  const auto whole = uint32_t(sizeof(rtorch_value));
  return {
      {"a good call", "", state(stateful.instance, 0, whole)},
      {"no instance", "RT_API_USAGE", state(nullptr, 0, whole)},
      {"no buffers", "RT_API_USAGE", state(loaded.instance, 0, whole)},
      {"an index out of range", "RT_API_USAGE", state(stateful.instance, 1, whole)},
      {"the largest index", "RT_API_USAGE", state(stateful.instance, kMany, whole)},
      {"a struct without its size", "RT_API_USAGE", state(stateful.instance, 0, 0)},
      {"no value", "RT_API_USAGE",
       [&] { return codeOf(rtorch_instance_state(stateful.instance, 0, nullptr)); }},
  };
}

std::vector<Case> creations(const Loaded &loaded) {
  return {
      {"no place for the instance", "RT_API_USAGE",
       [&] { return codeOf(rtorch_instance_create(loaded.module, nullptr)); }},
      {"nothing at all", "RT_API_USAGE",
       [] { return codeOf(rtorch_instance_create(nullptr, nullptr)); }},
      {"no module", "RT_API_USAGE",
       [] {
         auto *instance = reinterpret_cast<rtorch_instance *>(1);
         const std::string code = codeOf(rtorch_instance_create(nullptr, &instance));
         return instance == nullptr ? code : "an instance is left";
       }},
  };
}

std::vector<Case> descriptions(const Loaded &loaded) {
  auto describe = [](rtorch_module *module, uint32_t bytes) {
    return [=] {
      auto info = sized<rtorch_module_info>(bytes);
      return codeOf(rtorch_module_describe(module, &info));
    };
  };
  const auto whole = uint32_t(sizeof(rtorch_module_info));
  return {
      {"a good call", "", describe(loaded.module, whole)},
      {"no module", "RT_API_USAGE", describe(nullptr, whole)},
      {"a struct without its size", "RT_API_USAGE", describe(loaded.module, 0)},
      {"a struct that is too short", "RT_API_USAGE",
       describe(loaded.module, whole - 8)},
      {"a struct of a size that was never set", "RT_API_USAGE",
       describe(loaded.module, kMany)},
      {"no info", "RT_API_USAGE",
       [&] { return codeOf(rtorch_module_describe(loaded.module, nullptr)); }},
  };
}

/// Functions that return no error: what they give for what is nothing.
void addPlain(Cases &cases) {
  cases["rtorch_abi_version"] = {
      {"any", "", [] { return rtorch_abi_version() ? "" : "0"; }}};
  cases["rtorch_version"] = {{"any", "0.1.0", [] { return rtorch_version(); }}};
  using Text = const char *(*)(const rtorch_error *);
  for (auto [name, function] :
       {std::pair<const char *, Text>{"rtorch_error_code", rtorch_error_code},
        {"rtorch_error_message", rtorch_error_message},
        {"rtorch_error_node", rtorch_error_node},
        {"rtorch_error_source", rtorch_error_source}})
    cases[name] = {{"no error", "", [=] { return function(nullptr); }}};
  auto destroys = [](auto function) -> std::vector<Case> {
    return {{"nothing", "", [=] { return (function(nullptr), ""); }}};
  };
  cases["rtorch_error_create"] = {
      {"nothing", "RT_API_USAGE without a message",
       [] { return codeOf(rtorch_error_create(nullptr, nullptr)); }},
      {"an unknown code", "RT_API_USAGE",
       [] { return codeOf(rtorch_error_create("RT_NONE", "x")); }},
      {"a known code", "RT_RUN_BUSY",
       [] { return codeOf(rtorch_error_create("RT_RUN_BUSY", "x")); }},
  };
  cases["rtorch_error_destroy"] = destroys(rtorch_error_destroy);
  cases["rtorch_module_destroy"] = destroys(rtorch_module_destroy);
  cases["rtorch_instance_destroy"] = destroys(rtorch_instance_destroy);
  for (int32_t number : {-1, 10, 1000, INT32_MAX, INT32_MIN}) {
    cases["rtorch_dtype_bytes"].push_back(
        {"no dtype", "0", [=] { return std::to_string(rtorch_dtype_bytes(number)); }});
    cases["rtorch_dtype_name"].push_back({"no dtype", "NULL", [=] {
                                            const char *name =
                                                rtorch_dtype_name(number);
                                            return name ? name : "NULL";
                                          }});
  }
}

std::set<std::string> functionsOf(const std::string &name) {
  std::ifstream in(CAPI_HEADERS + name);
  const std::string header{std::istreambuf_iterator<char>(in), {}};
  const std::string mark = "RTORCH_EXPORT ";
  std::set<std::string> names;
  // The name of a declaration stands before its first parenthesis.
  for (size_t at = header.find("\n" + mark); at != std::string::npos;
       at = header.find("\n" + mark, at + 1)) {
    const size_t end = header.find('(', at);
    const size_t begin = header.find_last_of(" *\n", end) + 1;
    names.insert(header.substr(begin, end - begin));
  }
  return names;
}

} // namespace

TEST_CASE("a function called wrongly says so, and does nothing else") {
  const Loaded embedding("/embedding.rtm"), stateful("/stateful.rtm");
  Cases cases;
  addPlain(cases);
  cases["rtorch_module_load"] = loads();
  cases["rtorch_module_open_embedded"] = embedded();
  cases["rtorch_module_describe"] = descriptions(embedding);
  cases["rtorch_module_level"] =
      queries<rtorch_level_info>(embedding, rtorch_module_level, 1);
  cases["rtorch_module_step"] =
      queries<rtorch_step_info>(embedding, rtorch_module_step, 1);
  cases["rtorch_module_symbol"] =
      queries<rtorch_symbol_info>(embedding, rtorch_module_symbol, 2);
  cases["rtorch_module_argument"] =
      queries<rtorch_value_info>(embedding, rtorch_module_argument, 1);
  cases["rtorch_module_result"] =
      queries<rtorch_value_info>(stateful, rtorch_module_result, 3);
  cases["rtorch_module_state"] =
      queries<rtorch_value_info>(stateful, rtorch_module_state, 1);
  cases["rtorch_module_weight"] =
      queries<rtorch_value_info>(embedding, rtorch_module_weight, 0);
  cases["rtorch_module_check"] =
      queries<rtorch_check_info>(embedding, rtorch_module_check, 1);
  cases["rtorch_module_memory"] = memories(embedding);
  cases["rtorch_module_result_layout"] = layouts(embedding, stateful);
  cases["rtorch_instance_create"] = creations(embedding);
  cases["rtorch_instance_run"] = runs(embedding);
  cases["rtorch_instance_state"] = states(embedding, stateful);

  addCheckpoints(cases, CAPI_FOLDER);

  std::set<std::string> covered;
  for (const auto &[function, list] : cases)
    covered.insert(function);
  std::set<std::string> exported = functionsOf("runtime.h");
  exported.merge(functionsOf("checkpoint.h"));
  CHECK(covered == exported);

  for (const auto &[function, list] : cases)
    for (const Case &each : list) {
      Output output;
      const std::string code = each.call();
      const off_t printed = output.restore();
      INFO(function << ": " << each.what);
      CHECK(code == each.expected);
      CHECK(printed == 0);
    }
  // What went wrong before does not harm what comes after.
  CHECK(Call(embedding.instance).run().empty());
}
