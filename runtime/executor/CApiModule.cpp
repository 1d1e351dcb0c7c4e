// The C functions that load and describe modules.
#include "runtime/executor/CApiSupport.h"

#include "runtime/core/ExprTable.h"
#include "runtime/format/Text.h"

using namespace rtorch;
using namespace rtorch::executor;
using namespace rtorch::executor::capi;
using core::Status;
using format::text;

namespace {

const Description &descriptionOf(const rtorch_module &module) {
  std::call_once(module.described,
                 [&] { module.description = describe(module.module->manifest()); });
  return module.description;
}

/// Checks what all functions that describe the index-th of something have in common.
template <typename Info>
Status checkQuery(const rtorch_module *module, uint32_t index, size_t count,
                  const char *what, const Info *info) {
  if (Status status = checkStruct(info, "info"); !status.ok())
    return status;
  if (index >= count)
    return usage(text("expected a ", what, " below ", count, ", but got ", index));
  (void)descriptionOf(*module);
  return {};
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

rtorch_error *rtorch_module_load(const char *path, const rtorch_load_options *options,
                                 rtorch_module **out) {
  return guarded([&]() -> Status {
    if (!out || !path)
      return usage("rtorch_module_load: expected a path and a place for the module, "
                   "but got NULL");
    *out = nullptr;
    LoadOptions wanted;
    if (options) {
      if (Status status = checkStruct(options, "load options"); !status.ok())
        return status;
      wanted.describe_only = options->describe_only != 0;
      wanted.verify_constants = options->trust_constants == 0;
    }
    auto module = Module::load(path, wanted);
    if (!module.ok())
      return std::move(module).takeStatus();
    auto handle = std::make_unique<rtorch_module>();
    handle->module = std::move(*module);
    *out = handle.release();
    return {};
  });
}

void rtorch_module_destroy(rtorch_module *module) { delete module; }

rtorch_error *rtorch_module_describe(const rtorch_module *module,
                                     rtorch_module_info *out) {
  return guarded([&]() -> Status {
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
    info.features = descriptionOf(*module).features.data();
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
    give(info, out);
    return {};
  });
}

rtorch_error *rtorch_module_symbol(const rtorch_module *module, uint32_t index,
                                   rtorch_symbol_info *out) {
  return guarded([&]() -> Status {
    const auto &symbols = module->module->manifest().symbols;
    if (Status status = checkQuery(module, index, symbols.size(), "symbol", out);
        !status.ok())
      return status;
    const format::Symbol &symbol = symbols[index];
    give(rtorch_symbol_info{0, symbol.argument, symbol.dim, symbol.name.c_str(),
                            symbol.min, symbol.max},
         out);
    return {};
  });
}

rtorch_error *rtorch_module_argument(const rtorch_module *module, uint32_t index,
                                     rtorch_value_info *out) {
  return guarded([&]() -> Status {
    const auto &arguments = module->module->manifest().arguments;
    if (Status status = checkQuery(module, index, arguments.size(), "argument", out);
        !status.ok())
      return status;
    const format::Argument &argument = arguments[index];
    const DescribedTensor &described = module->description.arguments[index];
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
    give(info, out);
    return {};
  });
}

rtorch_error *rtorch_module_result(const rtorch_module *module, uint32_t index,
                                   rtorch_value_info *out) {
  return guarded([&]() -> Status {
    const auto &results = module->module->manifest().results;
    if (Status status = checkQuery(module, index, results.size(), "result", out);
        !status.ok())
      return status;
    const format::Result &result = results[index];
    const DescribedTensor &described = module->description.results[index];
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
    give(info, out);
    return {};
  });
}

rtorch_error *rtorch_module_state(const rtorch_module *module, uint32_t index,
                                  rtorch_value_info *out) {
  return guarded([&]() -> Status {
    const auto &states = module->module->manifest().states;
    if (Status status = checkQuery(module, index, states.size(), "state", out);
        !status.ok())
      return status;
    rtorch_value_info info = emptyInfo(states[index].name);
    describeTensor(states[index].tensor, module->description.states[index], info);
    info.is_mutated = 1;
    give(info, out);
    return {};
  });
}

rtorch_error *rtorch_module_check(const rtorch_module *module, uint32_t index,
                                  rtorch_check_info *out) {
  return guarded([&]() -> Status {
    const auto &checks = module->module->manifest().checks;
    if (Status status = checkQuery(module, index, checks.size(), "check", out);
        !status.ok())
      return status;
    give(rtorch_check_info{0, module->description.checks[index].c_str(),
                           checks[index].message.c_str(), checks[index].source.c_str()},
         out);
    return {};
  });
}

rtorch_error *rtorch_module_memory(const rtorch_module *module, const int64_t *values,
                                   uint32_t count, uint32_t threads,
                                   rtorch_memory_info *out) {
  return guarded([&]() -> Status {
    if (Status status = checkStruct(out, "info"); !status.ok())
      return status;
    auto needs = memoryOf(*module->module, {values, values ? count : 0}, threads);
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
    const format::Manifest &manifest = module->module->manifest();
    if (index >= manifest.results.size() || count != manifest.symbols.size())
      return usage(text("expected a result below ", manifest.results.size(), " and ",
                        manifest.symbols.size(), " symbol values, but got result ",
                        index, " and ", count, " values"));
    auto plan = ShapePlan::build(*module->module, {values, values ? count : 0});
    if (!plan.ok())
      return std::move(plan).takeStatus();
    const ResultShape &shape = (*plan)->result(index);
    std::ranges::copy(shape.sizes, sizes);
    std::ranges::copy(shape.strides, strides);
    return {};
  });
}
