// rtorch for C++20: compiled modules as values. A header over the C interface
// (runtime.h); link librtorch_runtime.
//
//   auto module = rtorch::Module::load("model.rtm");
//   if (!module) return report(module.error());
//   auto results = module->run({rtorch::Tensor::borrow(ids, {2, 16})});
//   if (!results) return report(results.error());
//   std::span<const float> scores = (*results)[0].tensor().data<float>();
//
// Errors are values: nothing here throws, but for std::bad_alloc.
#pragma once

#include "rtorch/runtime.h"

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace rtorch {

/// Why something failed.
struct Error {
  std::string code;    // stable: "RT_LAYOUT_STRIDE", see docs/reference/errors.md
  std::string message; // the thing, what was expected, what came
  std::string node;    // node of the model that is concerned, or empty
  std::string source;  // the user's source line of that node, or empty
};

/// A value or an error: test it, then use `*` or `error()`.
template <typename T> class [[nodiscard]] Expected final {
public:
  Expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}     // NOLINT
  Expected(Error error) : state_(std::in_place_index<1>, std::move(error)) {} // NOLINT

  explicit operator bool() const { return state_.index() == 0; }
  T &operator*() & { return std::get<0>(state_); }
  const T &operator*() const & { return std::get<0>(state_); }
  T &&operator*() && { return std::get<0>(std::move(state_)); }
  T *operator->() { return &std::get<0>(state_); }
  const T *operator->() const { return &std::get<0>(state_); }
  const Error &error() const { return std::get<1>(state_); }

private:
  std::variant<T, Error> state_;
};

/// Success or an error.
template <> class [[nodiscard]] Expected<void> final {
public:
  Expected() = default;
  Expected(Error error) : error_(std::move(error)) {} // NOLINT

  explicit operator bool() const { return !error_; }
  const Error &error() const { return *error_; }

private:
  std::optional<Error> error_;
};

enum class DType : int32_t {
  Bool = RTORCH_BOOL,
  UInt8 = RTORCH_UINT8,
  Int8 = RTORCH_INT8,
  Int16 = RTORCH_INT16,
  Int32 = RTORCH_INT32,
  Int64 = RTORCH_INT64,
  Float16 = RTORCH_FLOAT16,
  BFloat16 = RTORCH_BFLOAT16,
  Float32 = RTORCH_FLOAT32,
  Float64 = RTORCH_FLOAT64,
};

inline size_t elementBytes(DType dtype) { return rtorch_dtype_bytes(int32_t(dtype)); }
inline const char *dtypeName(DType dtype) { return rtorch_dtype_name(int32_t(dtype)); }

namespace detail {

template <typename T> struct DTypeOf;
template <> struct DTypeOf<bool> : std::integral_constant<DType, DType::Bool> {};
template <> struct DTypeOf<uint8_t> : std::integral_constant<DType, DType::UInt8> {};
template <> struct DTypeOf<int8_t> : std::integral_constant<DType, DType::Int8> {};
template <> struct DTypeOf<int16_t> : std::integral_constant<DType, DType::Int16> {};
template <> struct DTypeOf<int32_t> : std::integral_constant<DType, DType::Int32> {};
template <> struct DTypeOf<int64_t> : std::integral_constant<DType, DType::Int64> {};
template <> struct DTypeOf<float> : std::integral_constant<DType, DType::Float32> {};
template <> struct DTypeOf<double> : std::integral_constant<DType, DType::Float64> {};

struct FreeMemory {
  void operator()(void *memory) const { std::free(memory); }
};

/// Takes over the error object of a C call; nullopt for success.
inline std::optional<Error> take(rtorch_error *error) {
  if (!error)
    return std::nullopt;
  Error out{rtorch_error_code(error), rtorch_error_message(error),
            rtorch_error_node(error), rtorch_error_source(error)};
  rtorch_error_destroy(error);
  return out;
}

inline Error usageError(std::string message) {
  return {"RT_API_USAGE", std::move(message), {}, {}};
}

inline std::vector<int64_t> rowMajorStrides(std::span<const int64_t> sizes) {
  std::vector<int64_t> strides(sizes.size());
  int64_t stride = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= sizes[d] > 1 ? sizes[d] : 1;
  }
  return strides;
}

} // namespace detail

/// Memory with dtype, sizes and strides (in elements). Either borrows the memory or
/// shares ownership of it; copies refer to the same memory.
class Tensor final {
public:
  Tensor() = default;

  /// The caller's row-major memory, which must outlive the tensor. A module writes only
  /// to arguments that it describes as mutated, so constant memory may be borrowed too.
  template <typename T>
  static Tensor borrow(std::span<T> data, std::vector<int64_t> sizes) {
    Tensor out(detail::DTypeOf<std::remove_const_t<T>>::value, std::move(sizes));
    out.data_ = const_cast<std::remove_const_t<T> *>(data.data());
    assert(int64_t(data.size()) == out.numel());
    return out;
  }
  template <typename T>
  static Tensor borrow(const std::vector<T> &data, std::vector<int64_t> sizes) {
    return borrow(std::span<const T>(data), std::move(sizes));
  }
  /// Any memory; `strides` empty: row-major.
  static Tensor borrow(DType dtype, void *data, std::vector<int64_t> sizes,
                       std::vector<int64_t> strides = {}) {
    Tensor out(dtype, std::move(sizes));
    if (!strides.empty())
      out.strides_ = std::move(strides);
    out.data_ = data;
    return out;
  }
  /// New memory for row-major elements, aligned to 64 bytes, not initialised.
  static Tensor empty(DType dtype, std::vector<int64_t> sizes) {
    Tensor out(dtype, std::move(sizes));
    out.allocate(size_t(out.numel()) * elementBytes(dtype));
    return out;
  }

  DType dtype() const { return dtype_; }
  std::span<const int64_t> sizes() const { return sizes_; }
  std::span<const int64_t> strides() const { return strides_; }
  int64_t size(size_t dim) const { return sizes_[dim]; }
  int64_t numel() const {
    int64_t count = 1;
    for (int64_t size : sizes_)
      count *= size;
    return count;
  }
  bool isRowMajor() const {
    const std::vector<int64_t> dense = detail::rowMajorStrides(sizes_);
    for (size_t d = 0; d < sizes_.size(); ++d)
      if (sizes_[d] > 1 && strides_[d] != dense[d])
        return numel() == 0;
    return true;
  }

  void *raw() const { return data_; }
  /// The elements of a row-major tensor of that type.
  template <typename T> std::span<T> data() const {
    assert(detail::DTypeOf<std::remove_const_t<T>>::value == dtype_ && isRowMajor());
    return {static_cast<T *>(data_), size_t(numel())};
  }
  /// The element at `indices`.
  template <typename T> T &at(std::initializer_list<int64_t> indices) const {
    assert(detail::DTypeOf<std::remove_const_t<T>>::value == dtype_ &&
           indices.size() == sizes_.size());
    int64_t offset = 0;
    size_t d = 0;
    for (int64_t index : indices)
      offset += index * strides_[d++];
    return static_cast<T *>(data_)[offset];
  }

private:
  friend class Instance;
  Tensor(DType dtype, std::vector<int64_t> sizes)
      : dtype_(dtype), sizes_(std::move(sizes)),
        strides_(detail::rowMajorStrides(sizes_)) {}
  void allocate(size_t bytes) {
    owner_.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64 + 64),
                 detail::FreeMemory());
    data_ = owner_.get();
    if (!data_)
      throw std::bad_alloc();
  }

  DType dtype_ = DType::Float32;
  std::vector<int64_t> sizes_;
  std::vector<int64_t> strides_;
  void *data_ = nullptr;
  std::shared_ptr<void> owner_;
};

/// One leaf of the arguments or results of a call.
class Value final {
public:
  Value() = default;                                       // None
  Value(Tensor tensor) : state_(std::move(tensor)) {}      // NOLINT: a leaf is a value
  Value(bool value) : state_(value) {}                     // NOLINT
  Value(int64_t value) : state_(value) {}                  // NOLINT
  Value(int value) : state_(int64_t(value)) {}             // NOLINT
  Value(double value) : state_(value) {}                   // NOLINT
  Value(std::string value) : state_(std::move(value)) {}   // NOLINT
  Value(const char *value) : state_(std::string(value)) {} // NOLINT

  bool isTensor() const { return std::holds_alternative<Tensor>(state_); }
  bool isNone() const { return std::holds_alternative<std::monostate>(state_); }
  /// Only when isTensor().
  const Tensor &tensor() const { return std::get<Tensor>(state_); }
  const std::variant<std::monostate, Tensor, bool, int64_t, double, std::string> &
  variant() const {
    return state_;
  }

private:
  std::variant<std::monostate, Tensor, bool, int64_t, double, std::string> state_;
};

/// A size that varies from call to call.
struct SymbolInfo {
  std::string name;
  int64_t min = 0;
  int64_t max = INT64_MAX; // INT64_MAX: no limit
  uint32_t argument = 0;
  int32_t dim = -1; // -1: the value of an integer argument
};

/// What an argument, result or state is; see rtorch_value_info.
struct ValueInfo {
  int32_t kind = RTORCH_VALUE_NONE;
  std::string name;
  DType dtype = DType::Float32;
  std::vector<std::string> sizes;   // expressions over the symbols
  std::vector<std::string> strides; // the same
  std::vector<int64_t> fixed_sizes; // numbers, -1 where symbols decide
  std::vector<int64_t> fixed_strides;
  uint32_t alignment = 1;
  bool is_mutated = false;
  bool is_constant = false;
  bool is_view = false;
  Value constant;
  std::string view_of;
  std::string value; // of an integer: an expression
  std::string needed_by;
  std::string source;
};

struct CheckInfo {
  std::string relation;
  std::string message;
  std::string source;
};

/// A CPU that a module has code for; see rtorch_level_info.
struct LevelInfo {
  std::string cpu;
  std::vector<std::string> features;
  uint32_t kernels = 0;
  uint32_t launches = 0;
};

/// A launch, a loop or a branch; see rtorch_step_info.
struct StepInfo {
  int32_t kind = RTORCH_STEP_LAUNCH;
  uint32_t depth = 0;
  uint32_t body = 0;
  uint32_t otherwise = 0;
  bool has_condition = false;
  std::string name, source, kernel, trips;
};

struct ModuleInfo {
  std::string model;
  std::string producer;
  std::string triple;
  std::string cpu;
  std::vector<std::string> features;
  std::vector<SymbolInfo> symbols;
  std::vector<ValueInfo> arguments;
  std::vector<ValueInfo> results;
  std::vector<ValueInfo> states;
  std::vector<ValueInfo> weights; // that the caller brings
  std::vector<CheckInfo> checks;
  std::vector<LevelInfo> levels; // the most demanding first
  uint32_t level = 0;            // the one that is described here
  std::vector<StepInfo> steps;
  uint32_t kernels = 0;
  uint32_t launches = 0;
  uint64_t code_bytes = 0;
  uint64_t constant_bytes = 0;
  uint64_t file_bytes = 0;
};

/// Bytes that a run needs; see rtorch_memory_info.
struct MemoryInfo {
  int64_t arena = 0;
  int64_t results = 0;
  int64_t states = 0;
  int64_t constants = 0;
  int64_t peak = 0;
};

/// A tensor of the caller's with its name.
struct NamedTensor {
  std::string name;
  Tensor tensor;
  bool requires_grad = false;
};

/// Weights for modules that were compiled without them. `owner` keeps their memory.
struct Weights {
  std::vector<NamedTensor> tensors;
  std::shared_ptr<const void> owner;
};

struct LoadOptions {
  bool describe_only = false;   // works for modules of other CPUs, which cannot run
  bool trust_constants = false; // do not read the weights to verify them
  Weights weights = {};         // for a module that was compiled without its own
  std::string cpu_level = {};   // of the module's; empty: the best that the CPU can run
};

struct RunOptions {
  uint32_t threads = 0;  // 0: as many as the process has CPUs
  bool relayout = false; // copy arguments whose strides do not fit
  std::span<std::byte> arena =
      {}; // memory for intermediates; empty: the instance's own
  std::function<void(const rtorch_span &)> profile = {};
  uint32_t *copies = nullptr;      // where to put the number of copied arguments
  int64_t *copied_bytes = nullptr; // and their bytes
  /// Where to put the nanoseconds that the contract's check took, without copies.
  int64_t *check_ns = nullptr;
  /// The caller's threads instead of rtorch's own: calls task(i) once for each i below
  /// `threads` and returns when all calls have returned.
  std::function<void(uint32_t threads, const std::function<void(uint32_t)> &task)>
      parallel = {};
};

namespace detail {

/// Borrows sizes and strides from `tensor`.
inline rtorch_value toC(const Tensor &tensor) {
  rtorch_value out = RTORCH_VALUE_INIT;
  out.kind = RTORCH_VALUE_TENSOR;
  out.dtype = int32_t(tensor.dtype());
  out.rank = uint32_t(tensor.sizes().size());
  out.sizes = tensor.sizes().data();
  out.strides = tensor.strides().data();
  out.data = tensor.raw();
  return out;
}

/// Borrows from `value`.
inline rtorch_value toC(const Value &value) {
  rtorch_value out = RTORCH_VALUE_INIT;
  struct Visitor {
    rtorch_value &out;
    void operator()(std::monostate) const {}
    void operator()(const Tensor &tensor) const { out = toC(tensor); }
    void operator()(bool value) const {
      out.kind = RTORCH_VALUE_BOOL;
      out.integer = value;
    }
    void operator()(int64_t value) const {
      out.kind = RTORCH_VALUE_INT;
      out.integer = value;
    }
    void operator()(double value) const {
      out.kind = RTORCH_VALUE_FLOAT;
      out.real = value;
    }
    void operator()(const std::string &value) const {
      out.kind = RTORCH_VALUE_STRING;
      out.string = value.c_str();
    }
  };
  std::visit(Visitor{out}, value.variant());
  return out;
}

inline std::vector<rtorch_named_tensor> toC(std::span<const NamedTensor> tensors) {
  std::vector<rtorch_named_tensor> out;
  for (const NamedTensor &each : tensors)
    out.push_back({sizeof(rtorch_named_tensor), each.requires_grad, each.name.c_str(),
                   toC(each.tensor)});
  return out;
}

inline Tensor borrowFromC(const rtorch_value &value) {
  return Tensor::borrow(DType(value.dtype), value.data,
                        {value.sizes, value.sizes + value.rank},
                        {value.strides, value.strides + value.rank});
}

inline Value fromC(const rtorch_value &value) {
  switch (value.kind) {
  case RTORCH_VALUE_TENSOR:
    return borrowFromC(value);
  case RTORCH_VALUE_BOOL:
    return value.integer != 0;
  case RTORCH_VALUE_INT:
    return value.integer;
  case RTORCH_VALUE_FLOAT:
    return value.real;
  case RTORCH_VALUE_STRING:
    return std::string(value.string);
  default:
    return {};
  }
}

struct DestroyModule {
  void operator()(rtorch_module *module) const { rtorch_module_destroy(module); }
};
struct DestroyInstance {
  void operator()(rtorch_instance *instance) const {
    rtorch_instance_destroy(instance);
  }
};
using ModuleHandle = std::unique_ptr<rtorch_module, DestroyModule>;
using InstanceHandle = std::unique_ptr<rtorch_instance, DestroyInstance>;

/// Calls a C function that fills a struct of type Info.
template <typename Info, typename Function, typename... Arguments>
Info ask(Function function, Arguments... arguments) {
  Info info{};
  info.struct_size = sizeof(Info);
  // The index is in range and the struct complete: there is nothing to fail.
  rtorch_error_destroy(function(arguments..., &info));
  return info;
}

inline ValueInfo describeValue(const rtorch_value_info &info) {
  ValueInfo out;
  out.kind = info.kind;
  out.name = info.name;
  out.dtype = DType(info.dtype);
  for (uint32_t d = 0; d < info.rank; ++d) {
    out.sizes.emplace_back(info.sizes[d]);
    out.strides.emplace_back(info.strides[d]);
    out.fixed_sizes.push_back(info.fixed_sizes[d]);
    out.fixed_strides.push_back(info.fixed_strides[d]);
  }
  out.alignment = info.alignment;
  out.is_mutated = info.is_mutated != 0;
  out.is_constant = info.is_constant != 0;
  out.is_view = info.is_view != 0;
  if (out.is_constant)
    out.constant = fromC(info.constant);
  out.view_of = info.view_of;
  out.value = info.value;
  out.needed_by = info.needed_by;
  out.source = info.source;
  return out;
}

} // namespace detail

/// What runs change: mutated buffers, memory for intermediates. For one thread at a
/// time; make one for each.
class Instance final {
public:
  /// Checks all arguments and computes the results, in new memory that the results own.
  /// A result that is a view refers to the argument or buffer that it views.
  Expected<std::vector<Value>> run(std::span<const Value> arguments,
                                   const RunOptions &options = {}) {
    std::vector<rtorch_value> results(result_count_, rtorch_value RTORCH_VALUE_INIT);
    std::vector<Tensor> memory(result_count_);
    rtorch_run_options wanted = translate(options);
    wanted.allocate = allocate;
    wanted.allocate_user = &memory;
    if (auto error = call(arguments, results, options, wanted))
      return std::move(*error);
    std::vector<Value> out;
    for (size_t i = 0; i < results.size(); ++i)
      out.push_back(memory[i].raw() ? Value(std::move(memory[i]))
                                    : detail::fromC(results[i]));
    return out;
  }
  Expected<std::vector<Value>> run(std::initializer_list<Value> arguments,
                                   const RunOptions &options = {}) {
    return run(std::span(arguments.begin(), arguments.size()), options);
  }

  /// Computes into the caller's memory. results[i] is a tensor of the right dtype,
  /// sizes and strides; None where the result has no memory of its own (a view, a
  /// number).
  Expected<void> runInto(std::span<const Value> arguments,
                         std::span<const Value> results,
                         const RunOptions &options = {}) {
    std::vector<rtorch_value> targets;
    for (const Value &result : results)
      targets.push_back(detail::toC(result));
    rtorch_run_options wanted = translate(options);
    if (auto error = call(arguments, targets, options, wanted))
      return std::move(*error);
    return {};
  }

  /// A mutated buffer's memory, as long as the instance lives.
  Expected<Tensor> state(uint32_t index) const {
    rtorch_value value = RTORCH_VALUE_INIT;
    if (auto error = detail::take(rtorch_instance_state(handle_.get(), index, &value)))
      return std::move(*error);
    return detail::borrowFromC(value);
  }

  rtorch_instance *handle() const { return handle_.get(); }

private:
  friend class Module;
  Instance(detail::InstanceHandle handle, uint32_t resultCount)
      : handle_(std::move(handle)), result_count_(resultCount) {}

  static void *allocate(void *user, uint32_t index, const rtorch_value *shape,
                        size_t bytes) {
    Tensor &tensor = (*static_cast<std::vector<Tensor> *>(user))[index];
    tensor = detail::borrowFromC(*shape);
    tensor.allocate(bytes);
    return tensor.raw();
  }
  static rtorch_run_options translate(const RunOptions &options) {
    rtorch_run_options out = RTORCH_RUN_OPTIONS_INIT;
    out.threads = options.threads;
    out.relayout = options.relayout;
    out.arena = options.arena.data();
    out.arena_bytes = options.arena.size();
    out.check_ns = options.check_ns;
    if (options.profile) {
      out.profile_user = const_cast<RunOptions *>(&options);
      out.profile = [](void *user, const rtorch_span *span) {
        static_cast<RunOptions *>(user)->profile(*span);
      };
    }
    if (options.parallel) {
      out.parallel_user = const_cast<RunOptions *>(&options);
      out.parallel = [](void *user, uint32_t threads, void (*task)(void *, uint32_t),
                        void *argument) {
        static_cast<RunOptions *>(user)->parallel(
            threads, [=](uint32_t thread) { task(argument, thread); });
      };
    }
    return out;
  }
  std::optional<Error> call(std::span<const Value> arguments,
                            std::vector<rtorch_value> &results,
                            const RunOptions &options, rtorch_run_options &wanted) {
    std::vector<rtorch_value> leaves;
    for (const Value &argument : arguments)
      leaves.push_back(detail::toC(argument));
    rtorch_error *error =
        rtorch_instance_run(handle_.get(), leaves.data(), uint32_t(leaves.size()),
                            results.data(), uint32_t(results.size()), &wanted);
    if (options.copies)
      *options.copies = wanted.copies;
    if (options.copied_bytes)
      *options.copied_bytes = wanted.copied_bytes;
    return detail::take(error);
  }

  detail::InstanceHandle handle_;
  uint32_t result_count_ = 0;
};

/// A loaded module. Copies share it; usable from any number of threads at once.
class Module final {
public:
  static Expected<Module> load(const std::filesystem::path &path,
                               const LoadOptions &options = {}) {
    return open(options, [&](const rtorch_load_options &wanted, rtorch_module **out) {
      return rtorch_module_load(path.c_str(), &wanted, out);
    });
  }

  /// A module that is linked into the program: see rtorch_module_open_embedded.
  static Expected<Module> embedded(const rtorch_embedded_module &embedded,
                                   const LoadOptions &options = {}) {
    return open(options, [&](const rtorch_load_options &wanted, rtorch_module **out) {
      return rtorch_module_open_embedded(&embedded, &wanted, out);
    });
  }

  /// Runs the module with an instance that it keeps for the purpose. Refused
  /// (RT_MODULE_STATEFUL) for modules with states: which run would see which state?
  Expected<std::vector<Value>> run(std::span<const Value> arguments,
                                   const RunOptions &options = {}) const {
    if (info().state_count != 0)
      return Error{"RT_MODULE_STATEFUL",
                   "the module has " + std::to_string(info().state_count) +
                       " mutated buffers; expected an Instance to run, but got the "
                       "Module",
                   {},
                   {}};
    Expected<Instance> instance = borrowInstance();
    if (!instance)
      return instance.error();
    auto results = instance->run(arguments, options);
    std::lock_guard lock(shared_->mutex);
    shared_->idle.push_back(std::move(*instance));
    return results;
  }
  Expected<std::vector<Value>> run(std::initializer_list<Value> arguments,
                                   const RunOptions &options = {}) const {
    return run(std::span(arguments.begin(), arguments.size()), options);
  }

  /// An instance with the initial values of all states.
  Expected<Instance> instance() const {
    rtorch_instance *instance = nullptr;
    if (auto error =
            detail::take(rtorch_instance_create(shared_->module.get(), &instance)))
      return std::move(*error);
    return Instance(detail::InstanceHandle(instance), info().result_count);
  }

  /// Everything that the module says about itself.
  ModuleInfo describe() const {
    const rtorch_module_info raw = info();
    rtorch_module *module = shared_->module.get();
    ModuleInfo out;
    out.model = raw.model;
    out.producer = raw.producer;
    out.triple = raw.triple;
    out.cpu = raw.cpu;
    out.features.assign(raw.features, raw.features + raw.feature_count);
    out.kernels = raw.kernel_count;
    out.launches = raw.launch_count;
    out.code_bytes = raw.code_bytes;
    out.constant_bytes = raw.constant_bytes;
    out.file_bytes = raw.file_bytes;
    for (uint32_t i = 0; i < raw.symbol_count; ++i) {
      auto symbol = detail::ask<rtorch_symbol_info>(rtorch_module_symbol, module, i);
      out.symbols.push_back(
          {symbol.name, symbol.min, symbol.max, symbol.argument, symbol.dim});
    }
    auto values = [&](auto function, uint32_t count) {
      std::vector<ValueInfo> infos;
      for (uint32_t i = 0; i < count; ++i)
        infos.push_back(
            detail::describeValue(detail::ask<rtorch_value_info>(function, module, i)));
      return infos;
    };
    out.arguments = values(rtorch_module_argument, raw.argument_count);
    out.results = values(rtorch_module_result, raw.result_count);
    out.states = values(rtorch_module_state, raw.state_count);
    out.weights = values(rtorch_module_weight, raw.weight_count);
    for (uint32_t i = 0; i < raw.check_count; ++i) {
      auto check = detail::ask<rtorch_check_info>(rtorch_module_check, module, i);
      out.checks.push_back({check.relation, check.message, check.source});
    }
    out.level = raw.level;
    for (uint32_t i = 0; i < raw.level_count; ++i) {
      auto level = detail::ask<rtorch_level_info>(rtorch_module_level, module, i);
      out.levels.push_back({level.cpu,
                            {level.features, level.features + level.feature_count},
                            level.kernel_count,
                            level.launch_count});
    }
    for (uint32_t i = 0; i < raw.step_count; ++i) {
      auto step = detail::ask<rtorch_step_info>(rtorch_module_step, module, i);
      out.steps.push_back({step.kind, step.depth, step.body, step.otherwise,
                           step.has_condition != 0, step.name, step.source, step.kernel,
                           step.trips});
    }
    return out;
  }

  /// Memory of a run with these values of the symbols, in their order.
  Expected<MemoryInfo> memory(std::span<const int64_t> symbols,
                              uint32_t threads = 0) const {
    rtorch_memory_info raw{};
    raw.struct_size = sizeof raw;
    if (auto error =
            detail::take(rtorch_module_memory(shared_->module.get(), symbols.data(),
                                              uint32_t(symbols.size()), threads, &raw)))
      return std::move(*error);
    return MemoryInfo{raw.arena_bytes, raw.result_bytes, raw.state_bytes,
                      raw.constant_bytes, raw.peak_bytes};
  }

  rtorch_module *handle() const { return shared_->module.get(); }

private:
  struct Shared {
    explicit Shared(detail::ModuleHandle handle) : module(std::move(handle)) {}
    detail::ModuleHandle module;
    std::mutex mutex;
    std::vector<Instance> idle;
  };
  explicit Module(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  template <typename Call>
  static Expected<Module> open(const LoadOptions &options, Call &&call) {
    rtorch_load_options wanted = RTORCH_LOAD_OPTIONS_INIT;
    wanted.describe_only = options.describe_only;
    wanted.trust_constants = options.trust_constants;
    if (!options.cpu_level.empty())
      wanted.cpu_level = options.cpu_level.c_str();
    const auto weights = detail::toC(options.weights.tensors);
    wanted.weights = weights.data();
    wanted.weight_count = uint32_t(weights.size());
    if (wanted.weight_count != 0) {
      // Tensors that own their memory are kept as well.
      wanted.release_user = new Weights(options.weights);
      wanted.release = [](void *user) { delete static_cast<Weights *>(user); };
    }
    rtorch_module *module = nullptr;
    if (auto error = detail::take(call(wanted, &module)))
      return std::move(*error);
    return Module(std::make_shared<Shared>(detail::ModuleHandle(module)));
  }

  rtorch_module_info info() const {
    return detail::ask<rtorch_module_info>(
        rtorch_module_describe,
        static_cast<const rtorch_module *>(shared_->module.get()));
  }
  Expected<Instance> borrowInstance() const {
    {
      std::lock_guard lock(shared_->mutex);
      if (!shared_->idle.empty()) {
        Instance instance = std::move(shared_->idle.back());
        shared_->idle.pop_back();
        return instance;
      }
    }
    return instance();
  }

  std::shared_ptr<Shared> shared_;
};

} // namespace rtorch
