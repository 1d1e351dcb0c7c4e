// The C functions that run modules.
#include "runtime/executor/CApiSupport.h"

#include "runtime/format/ManifestCodec.h"
#include "runtime/format/Text.h"

using namespace rtorch;
using namespace rtorch::executor;
using namespace rtorch::executor::capi;
using core::Status;
using core::Value;
using format::text;

namespace {

/// The i-th element of a caller's array, whose elements may be longer than ours.
template <typename V> V *at(V *values, size_t index) {
  using Byte = std::conditional_t<std::is_const_v<V>, const char, char>;
  return reinterpret_cast<V *>(reinterpret_cast<Byte *>(values) +
                               index * values->struct_size);
}

Status checkValues(const rtorch_value *values, uint32_t count, const char *what) {
  if (count == 0)
    return {};
  if (Status status = checkStruct(values, what); !status.ok())
    return status;
  for (uint32_t i = 1; i < count; ++i)
    if (at(values, i)->struct_size != values->struct_size)
      return usage(text(what, ": expected struct_size ", values->struct_size,
                        " in all elements, but got ", at(values, i)->struct_size,
                        " in element ", i));
  return {};
}

/// Row-major strides with PyTorch's rule for sizes of 0.
void rowMajor(std::span<const int64_t> sizes, std::span<int64_t> strides) {
  uint64_t stride = 1; // wraps for sizes that no memory has; those are refused later
  for (size_t d = sizes.size(); d-- > 0;) {
    strides[d] = int64_t(stride);
    stride *= uint64_t(std::max<int64_t>(sizes[d], 1));
  }
}

/// Reads one value; `strides` has room for the rank where the caller gives none.
Status fromC(const rtorch_value &in, const char *what, uint32_t index, Value &out,
             std::span<int64_t> strides) {
  out = Value();
  if (in.kind < RTORCH_VALUE_NONE || in.kind > RTORCH_VALUE_STRING)
    return usage(text(what, " ", index, ": there is no value kind ", in.kind));
  out.kind = Value::Kind(in.kind);
  out.integer = in.integer;
  out.real = in.real;
  out.string = in.string;
  if (out.kind != Value::Kind::Tensor)
    return {};
  auto dtype = core::dtypeFromNumber(in.dtype);
  if (!dtype)
    return usage(text(what, " ", index, ": there is no dtype ", in.dtype));
  if (in.rank > format::kMaxRank || (in.rank > 0 && !in.sizes))
    return usage(text(what, " ", index, ": expected sizes for a rank of at most ",
                      format::kMaxRank, ", but got rank ", in.rank,
                      in.sizes ? "" : " and NULL"));
  out.tensor.dtype = *dtype;
  out.tensor.sizes = {in.sizes, in.rank};
  out.tensor.data = in.data;
  if (in.strides) {
    out.tensor.strides = {in.strides, in.rank};
    return {};
  }
  rowMajor(out.tensor.sizes, strides.first(in.rank));
  out.tensor.strides = strides.first(in.rank);
  return {};
}

/// Adapts the caller's callbacks; lives for one run.
struct Callbacks {
  const rtorch_run_options &options;

  static void profile(void *self, const format::Manifest &manifest,
                      const LaunchSpan &span) {
    const rtorch_run_options &options = static_cast<Callbacks *>(self)->options;
    const format::Launch &launch = manifest.schedule[span.launch];
    const rtorch_span out{sizeof(rtorch_span),
                          span.thread,
                          uint32_t(span.launch),
                          launch.name.c_str(),
                          manifest.kernels[launch.kernel].name.c_str(),
                          launch.source.c_str(),
                          span.begin,
                          span.end};
    options.profile(options.profile_user, &out);
  }
  static void *allocate(void *self, size_t result, const core::TensorView &shape,
                        size_t bytes) {
    const rtorch_run_options &options = static_cast<Callbacks *>(self)->options;
    Value value;
    value.kind = Value::Kind::Tensor;
    value.tensor = shape;
    const rtorch_value out = toC(value);
    return options.allocate(options.allocate_user, uint32_t(result), &out, bytes);
  }
};

RunOptions translate(const rtorch_run_options &options, Callbacks &callbacks) {
  RunOptions out;
  out.threads = options.threads;
  out.arena = options.arena;
  out.arena_bytes = options.arena_bytes;
  out.relayout = options.relayout != 0;
  out.measure_check = options.check_ns != nullptr;
  if (options.profile)
    out.profile = {Callbacks::profile, &callbacks};
  if (options.allocate)
    out.allocate = {Callbacks::allocate, &callbacks};
  out.parallel = {options.parallel, options.parallel_user};
  return out;
}

Status readValues(rtorch_instance &instance, const rtorch_value *arguments,
                  uint32_t argumentCount, const rtorch_value *results,
                  uint32_t resultCount) {
  const size_t total = size_t(argumentCount) + resultCount;
  instance.arguments.resize(argumentCount);
  instance.results.resize(resultCount);
  if (instance.strides.size() < total * format::kMaxRank)
    instance.strides.resize(total * format::kMaxRank);
  std::span<int64_t> strides = instance.strides;
  for (size_t i = 0; i < total; ++i) {
    const bool isArgument = i < argumentCount;
    const auto index = uint32_t(isArgument ? i : i - argumentCount);
    Status status =
        fromC(*at(isArgument ? arguments : results, index),
              isArgument ? "argument" : "result", index,
              isArgument ? instance.arguments[index] : instance.results[index],
              strides.subspan(i * format::kMaxRank, format::kMaxRank));
    if (!status.ok())
      return status;
  }
  return {};
}

} // namespace

rtorch_error *rtorch_instance_create(rtorch_module *module, rtorch_instance **out) {
  return guarded([&]() -> Status {
    if (!out)
      return usage("expected a place for the instance, but got NULL");
    *out = nullptr;
    if (Status status = checkHandle(module, "module"); !status.ok())
      return status;
    auto instance = Instance::create(module->module);
    if (!instance.ok())
      return std::move(instance).takeStatus();
    auto handle = std::make_unique<rtorch_instance>();
    handle->instance = std::move(*instance);
    *out = handle.release();
    return {};
  });
}

void rtorch_instance_destroy(rtorch_instance *instance) { delete instance; }

rtorch_error *rtorch_instance_run(rtorch_instance *instance,
                                  const rtorch_value *arguments, uint32_t argumentCount,
                                  rtorch_value *results, uint32_t resultCount,
                                  rtorch_run_options *options) {
  return guarded([&]() -> Status {
    rtorch_run_options plain = RTORCH_RUN_OPTIONS_INIT;
    rtorch_run_options &wanted = options ? *options : plain;
    Status status = checkHandle(instance, "instance");
    if (status.ok())
      status = checkStruct(&wanted, "run options");
    if (status.ok())
      status = checkValues(arguments, argumentCount, "arguments");
    if (status.ok())
      status = checkValues(results, resultCount, "results");
    if (!status.ok())
      return status;
    const Instance::Turn turn(*instance->instance);
    if (!turn.taken())
      return Instance::busyError();
    status = readValues(*instance, arguments, argumentCount, results, resultCount);
    if (!status.ok())
      return status;
    Callbacks callbacks{wanted};
    RunReport report;
    status = instance->instance->run(turn, instance->arguments, instance->results,
                                     translate(wanted, callbacks), report);
    wanted.copies = report.copies;
    wanted.copied_bytes = report.copied_bytes;
    if (wanted.check_ns)
      *wanted.check_ns = report.check_ns;
    for (uint32_t i = 0; status.ok() && i < resultCount; ++i)
      give(toC(instance->results[i]), at(results, i));
    return status;
  });
}

rtorch_error *rtorch_instance_state(rtorch_instance *instance, uint32_t index,
                                    rtorch_value *out) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(instance, "instance"); !status.ok())
      return status;
    if (Status status = checkStruct(out, "value"); !status.ok())
      return status;
    auto state = instance->instance->state(index);
    if (!state.ok())
      return std::move(state).takeStatus();
    give(toC(*state), out);
    return {};
  });
}
