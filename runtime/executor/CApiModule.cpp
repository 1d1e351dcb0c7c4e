// The C functions that load and describe modules.
#include "runtime/executor/CApiSupport.h"

#include "runtime/core/ExprTable.h"
#include "runtime/executor/Contract.h"
#include "runtime/format/ManifestCodec.h"
#include "runtime/format/Text.h"

using namespace rtorch;
using namespace rtorch::executor;
using namespace rtorch::executor::capi;
using core::Status;
using format::text;

namespace {

const Description &descriptionOf(const rtorch_module &module) {
  std::call_once(module.described, [&] {
    module.description =
        describe(module.module->manifest(), module.module->file().levels());
  });
  return module.description;
}

/// Describes the index-th item of a list of the manifest: what the functions that ask
/// for one have in common. `fill` makes the info of the item.
template <typename Item, typename Info, typename Fill>
rtorch_error *query(const rtorch_module *module, uint32_t index,
                    std::vector<Item> format::Manifest::*list, const char *what,
                    Info *out, Fill &&fill) noexcept {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(module, "module"); !status.ok())
      return status;
    if (Status status = checkStruct(out, "info"); !status.ok())
      return status;
    const std::vector<Item> &items = module->module->manifest().*list;
    if (index >= items.size())
      return usage(
          text("expected a ", what, " below ", items.size(), ", but got ", index));
    give(fill(items[index], descriptionOf(*module)), out);
    return {};
  });
}

/// Checks the symbol values of a question about sizes: as many as the module has, each
/// within its range.
Status checkSymbolValues(const format::Manifest &manifest, const int64_t *values,
                         uint32_t count) {
  if (count != manifest.symbols.size() || (count > 0 && !values))
    return usage(text("expected ", manifest.symbols.size(), " symbol values, but got ",
                      values || count == 0 ? text(count) : "NULL"));
  return checkSymbolRanges(manifest, {values, count});
}

rtorch_value constantOf(const format::ConstantValue &constant) {
  using Kind = format::ConstantValue::Kind;
  rtorch_value out = RTORCH_VALUE_INIT;
  static constexpr int32_t kinds[] = {RTORCH_VALUE_NONE, RTORCH_VALUE_BOOL,
                                      RTORCH_VALUE_INT, RTORCH_VALUE_FLOAT,
                                      RTORCH_VALUE_STRING};
  out.kind = kinds[size_t(constant.kind)];
  out.integer = constant.integer;
  out.real = constant.real;
  out.string = constant.kind == Kind::String ? constant.string.c_str() : nullptr;
  return out;
}

/// An info whose strings are empty, not null.
rtorch_value_info emptyInfo(const std::string &name) {
  rtorch_value_info info{};
  info.name = name.c_str();
  info.view_of = info.value = info.needed_by = info.source = "";
  info.alignment = 1;
  info.constant = RTORCH_VALUE_INIT;
  return info;
}

void describeTensor(const format::TensorSpec &spec, const DescribedTensor &described,
                    rtorch_value_info &info) {
  const size_t rank = spec.sizes.size();
  info.kind = RTORCH_VALUE_TENSOR;
  info.dtype = int32_t(spec.dtype);
  info.rank = uint32_t(rank);
  info.sizes = described.text_pointers.data();
  info.strides = described.text_pointers.data() + rank;
  info.fixed_sizes = described.fixed.data();
  info.fixed_strides = described.fixed.data() + rank;
}

void describeConstant(const format::ConstantValue &constant, rtorch_value_info &info) {
  info.is_constant = 1;
  info.constant = constantOf(constant);
  info.kind = info.constant.kind;
}

} // namespace

namespace {

/// What an owner without an object points to: a null pointer would own nothing.
constexpr char kNothing = 0;

/// The caller's weights, checked.
class GivenWeights {
public:
  Status read(const rtorch_load_options &options) {
    if (options.weight_count != 0 && !options.weights)
      return usage(text("expected ", options.weight_count, " weights, but got NULL"));
    for (uint32_t i = 0; i < options.weight_count; ++i)
      if (Status status = add(options.weights[i]); !status.ok())
        return status;
    return {};
  }
  std::vector<NamedWeight> weights() const {
    std::vector<NamedWeight> out;
    for (size_t i = 0; i < given_.size(); ++i) {
      const rtorch_value &value = given_[i]->value;
      out.push_back({given_[i]->name,
                     {core::DType(value.dtype),
                      {value.sizes, value.rank},
                      strides_[i],
                      value.data}});
    }
    return out;
  }

private:
  Status add(const rtorch_named_tensor &tensor);

  std::vector<const rtorch_named_tensor *> given_;
  std::vector<std::vector<int64_t>> strides_;
};

Status GivenWeights::add(const rtorch_named_tensor &tensor) {
  if (Status status = checkStruct(&tensor, "weight"); !status.ok())
    return status;
  if (!tensor.name)
    return usage("expected the name of a weight, but got NULL");
  const auto wrong = [&](const char *what) {
    return usage(text("weight '", tensor.name, "': ", what));
  };
  const rtorch_value &value = tensor.value;
  if (Status status = checkStruct(&value, tensor.name); !status.ok())
    return status;
  const auto dtype = core::dtypeFromNumber(value.dtype);
  if (value.kind != RTORCH_VALUE_TENSOR || !dtype)
    return wrong("expected a tensor of a dtype that the runtime has");
  if (value.rank > format::kMaxRank || (value.rank != 0 && !value.sizes))
    return wrong("expected sizes of at most 64 dims");
  const std::span<const int64_t> sizes(value.sizes, value.rank);
  std::vector<int64_t> strides(value.rank);
  int64_t dense = 1;
  bool fits = true;
  for (size_t dim = value.rank; dim-- > 0;) {
    strides[dim] = value.strides ? value.strides[dim] : dense;
    fits = fits && sizes[dim] >= 0 &&
           !__builtin_mul_overflow(dense, std::max<int64_t>(sizes[dim], 1), &dense);
  }
  if (!fits || !core::extentBytes(*dtype, sizes, strides))
    return wrong("expected sizes and strides that fit into memory");
  if (!value.data && !core::isEmpty(sizes))
    return wrong("expected memory, but got NULL");
  given_.push_back(&tensor);
  strides_.push_back(std::move(strides));
  return {};
}

} // namespace

namespace {

/// The caller's options, checked.
struct GivenOptions {
  LoadOptions options;
  GivenWeights given;
  std::vector<NamedWeight> weights;

  Status read(const rtorch_load_options *from) {
    if (!from)
      return {};
    if (Status status = checkStruct(from, "load options"); !status.ok())
      return status;
    options.describe_only = from->describe_only != 0;
    options.verify_constants = from->trust_constants == 0;
    if (from->cpu_level)
      options.cpu_level = from->cpu_level;
    // From here on the caller's memory is ours to release, whatever happens.
    if (from->release)
      options.weights_owner = std::shared_ptr<const void>(
          from->release_user ? from->release_user : &kNothing,
          [release = from->release, user = from->release_user](const void *) {
            release(user);
          });
    if (Status status = given.read(*from); !status.ok())
      return status;
    weights = given.weights();
    options.weights = weights;
    return {};
  }
};

Status giveModule(core::Result<std::shared_ptr<const Module>> module,
                  rtorch_module **out) {
  if (!module.ok())
    return std::move(module).takeStatus();
  auto handle = std::make_unique<rtorch_module>();
  handle->module = std::move(*module);
  *out = handle.release();
  return {};
}

Status checkEmbedded(const rtorch_embedded_module *embedded) {
  if (Status status = checkStruct(embedded, "embedded module"); !status.ok())
    return status;
  if (!embedded->bytes || (!embedded->kernels && embedded->kernel_count != 0))
    return usage("expected an embedded module as rtorch-compile writes it, but its "
                 "bytes or kernels are NULL");
  for (uint64_t i = 0; i < embedded->kernel_count; ++i)
    if (!embedded->kernels[i].symbol || !embedded->kernels[i].function)
      return usage(text("expected an embedded module as rtorch-compile writes it, but "
                        "its kernel ",
                        i, " is NULL"));
  return {};
}

} // namespace

rtorch_error *rtorch_module_load(const char *path, const rtorch_load_options *options,
                                 rtorch_module **out) {
  return guarded([&]() -> Status {
    if (!out)
      return usage("expected a place for the module, but got NULL");
    *out = nullptr;
    if (!path)
      return usage("expected the path of a module, but got NULL");
    GivenOptions wanted;
    if (Status status = wanted.read(options); !status.ok())
      return status;
    return giveModule(Module::load(path, wanted.options), out);
  });
}

rtorch_error *rtorch_module_open_embedded(const rtorch_embedded_module *embedded,
                                          const rtorch_load_options *options,
                                          rtorch_module **out) {
  return guarded([&]() -> Status {
    if (!out)
      return usage("expected a place for the module, but got NULL");
    *out = nullptr;
    if (Status status = checkEmbedded(embedded); !status.ok())
      return status;
    GivenOptions wanted;
    if (Status status = wanted.read(options); !status.ok())
      return status;
    return giveModule(
        Module::openEmbedded({static_cast<const std::byte *>(embedded->bytes),
                              size_t(embedded->byte_count)},
                             {embedded->kernels, size_t(embedded->kernel_count)},
                             embedded->name ? embedded->name : "", wanted.options),
        out);
  });
}

void rtorch_module_destroy(rtorch_module *module) { delete module; }

rtorch_error *rtorch_module_describe(const rtorch_module *module,
                                     rtorch_module_info *out) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(module, "module"); !status.ok())
      return status;
    if (Status status = checkStruct(out, "info"); !status.ok())
      return status;
    const format::Manifest &m = module->module->manifest();
    const format::Trailer &trailer = module->module->file().trailer();
    rtorch_module_info info{};
    info.kernel_abi = trailer.kernel_abi;
    info.model = m.model.c_str();
    info.producer = m.producer.c_str();
    info.triple = m.triple.c_str();
    info.cpu = m.cpu.c_str();
    info.features = descriptionOf(*module).features[module->module->level()].data();
    info.feature_count = uint32_t(m.features.size());
    info.argument_count = uint32_t(m.arguments.size());
    info.result_count = uint32_t(m.results.size());
    info.symbol_count = uint32_t(m.symbols.size());
    info.check_count = uint32_t(m.checks.size());
    info.state_count = uint32_t(m.states.size());
    info.kernel_count = uint32_t(m.kernels.size());
    info.launch_count = uint32_t(m.schedule.size());
    info.code_bytes = trailer.elf_bytes;
    info.constant_bytes = trailer.constants_bytes;
    info.file_bytes = module->module->file().bytes().size();
    info.weight_count = uint32_t(m.weights.size());
    info.level_count = uint32_t(module->module->file().levels().size());
    info.level = uint32_t(module->module->level());
    info.step_count = uint32_t(m.steps.size());
    give(info, out);
    return {};
  });
}

rtorch_error *rtorch_module_level(const rtorch_module *module, uint32_t index,
                                  rtorch_level_info *out) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(module, "module"); !status.ok())
      return status;
    if (Status status = checkStruct(out, "info"); !status.ok())
      return status;
    const auto levels = module->module->file().levels();
    if (index >= levels.size())
      return usage(text("expected a level below ", levels.size(), ", but got ", index));
    const format::Manifest &level = levels[index];
    rtorch_level_info info{};
    info.cpu = level.cpu.c_str();
    info.features = descriptionOf(*module).features[index].data();
    info.feature_count = uint32_t(level.features.size());
    info.kernel_count = uint32_t(level.kernels.size());
    info.launch_count = uint32_t(level.schedule.size());
    give(info, out);
    return {};
  });
}

rtorch_error *rtorch_module_step(const rtorch_module *module, uint32_t index,
                                 rtorch_step_info *out) {
  return query(module, index, &format::Manifest::steps, "step", out,
               [&](const format::Step &step, const Description &description) {
                 const format::Manifest &m = module->module->manifest();
                 rtorch_step_info info{};
                 info.kind = int32_t(step.kind);
                 info.depth = description.steps[index].depth;
                 info.body = step.body;
                 info.otherwise = step.otherwise;
                 info.has_condition = !step.condition.empty();
                 info.name = info.source = info.kernel = "";
                 info.trips = description.steps[index].trips.c_str();
                 if (step.kind == format::Step::Kind::Launch) {
                   const format::Launch &launch = m.schedule[step.index];
                   info.name = launch.name.c_str();
                   info.source = launch.source.c_str();
                   info.kernel = m.kernels[launch.kernel].name.c_str();
                 }
                 return info;
               });
}

rtorch_error *rtorch_module_symbol(const rtorch_module *module, uint32_t index,
                                   rtorch_symbol_info *out) {
  return query(module, index, &format::Manifest::symbols, "symbol", out,
               [](const format::Symbol &symbol, const Description &) {
                 return rtorch_symbol_info{0,          symbol.argument,
                                           symbol.dim, symbol.name.c_str(),
                                           symbol.min, symbol.max};
               });
}

rtorch_error *rtorch_module_argument(const rtorch_module *module, uint32_t index,
                                     rtorch_value_info *out) {
  return query(module, index, &format::Manifest::arguments, "argument", out,
               [&](const format::Argument &argument, const Description &description) {
                 const DescribedTensor &described = description.arguments[index];
                 rtorch_value_info info = emptyInfo(argument.name);
                 info.needed_by = argument.needed_by.c_str();
                 info.source = argument.source.c_str();
                 info.value = described.value.c_str();
                 if (argument.kind == format::Argument::Kind::Constant)
                   describeConstant(argument.constant, info);
                 else if (argument.kind == format::Argument::Kind::Int)
                   info.kind = RTORCH_VALUE_INT;
                 else
                   describeTensor(argument.tensor, described, info);
                 info.alignment = argument.alignment;
                 info.is_mutated = argument.mutated;
                 return info;
               });
}

rtorch_error *rtorch_module_result(const rtorch_module *module, uint32_t index,
                                   rtorch_value_info *out) {
  return query(module, index, &format::Manifest::results, "result", out,
               [&](const format::Result &result, const Description &description) {
                 const DescribedTensor &described = description.results[index];
                 rtorch_value_info info = emptyInfo(result.name);
                 info.value = described.value.c_str();
                 info.view_of = described.view_of.c_str();
                 info.is_view = result.kind == format::Result::Kind::View;
                 if (result.kind == format::Result::Kind::Constant)
                   describeConstant(result.constant, info);
                 else if (result.kind == format::Result::Kind::Int)
                   info.kind = RTORCH_VALUE_INT;
                 else
                   describeTensor(result.tensor, described, info);
                 return info;
               });
}

rtorch_error *rtorch_module_state(const rtorch_module *module, uint32_t index,
                                  rtorch_value_info *out) {
  return query(module, index, &format::Manifest::states, "state", out,
               [&](const format::State &state, const Description &description) {
                 rtorch_value_info info = emptyInfo(state.name);
                 describeTensor(state.tensor, description.states[index], info);
                 info.is_mutated = 1;
                 return info;
               });
}

rtorch_error *rtorch_module_weight(const rtorch_module *module, uint32_t index,
                                   rtorch_value_info *out) {
  return query(module, index, &format::Manifest::weights, "weight", out,
               [&](const format::Weight &weight, const Description &description) {
                 rtorch_value_info info = emptyInfo(weight.name);
                 describeTensor(weight.tensor, description.weights[index], info);
                 return info;
               });
}

rtorch_error *rtorch_module_check(const rtorch_module *module, uint32_t index,
                                  rtorch_check_info *out) {
  return query(module, index, &format::Manifest::checks, "check", out,
               [&](const format::Check &check, const Description &description) {
                 return rtorch_check_info{0, description.checks[index].c_str(),
                                          check.message.c_str(), check.source.c_str()};
               });
}

rtorch_error *rtorch_module_memory(const rtorch_module *module, const int64_t *values,
                                   uint32_t count, uint32_t threads,
                                   rtorch_memory_info *out) {
  return guarded([&]() -> Status {
    Status status = checkHandle(module, "module");
    if (status.ok())
      status = checkStruct(out, "info");
    if (status.ok())
      status = checkSymbolValues(module->module->manifest(), values, count);
    if (!status.ok())
      return status;
    auto needs = memoryOf(*module->module, {values, count}, threads);
    if (!needs.ok())
      return std::move(needs).takeStatus();
    give(rtorch_memory_info{0, needs->arena, needs->results, needs->states,
                            needs->constants, needs->peak},
         out);
    return {};
  });
}

rtorch_error *rtorch_module_result_layout(const rtorch_module *module,
                                          const int64_t *values, uint32_t count,
                                          uint32_t index, int64_t *sizes,
                                          int64_t *strides) {
  return guarded([&]() -> Status {
    if (Status status = checkHandle(module, "module"); !status.ok())
      return status;
    const format::Manifest &manifest = module->module->manifest();
    if (index >= manifest.results.size())
      return usage(text("expected a result below ", manifest.results.size(),
                        ", but got ", index));
    using Kind = format::Result::Kind;
    const format::Result &result = manifest.results[index];
    if (result.kind != Kind::Tensor && result.kind != Kind::View)
      return usage(
          text("expected a result that is a tensor, but result ", index, " is none"));
    if (!result.tensor.sizes.empty() && (!sizes || !strides))
      return usage(text("expected room for ", result.tensor.sizes.size(),
                        " sizes and strides, but got NULL"));
    if (Status status = checkSymbolValues(manifest, values, count); !status.ok())
      return status;
    auto plan = ShapePlan::build(*module->module, {values, count});
    if (!plan.ok())
      return std::move(plan).takeStatus();
    const ResultShape &shape = (*plan)->result(index);
    std::ranges::copy(shape.sizes, sizes);
    std::ranges::copy(shape.strides, strides);
    return {};
  });
}
