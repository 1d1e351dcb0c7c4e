#include "runtime/executor/Module.h"

#include "runtime/core/ExprTable.h"
#include "runtime/core/Value.h"
#include "runtime/executor/CpuFeatures.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <cstdlib>

namespace rtorch::executor {

using core::ErrorCode;
using core::Result;
using core::Status;
using format::text;

namespace {

core::Error fromFormat(format::FormatError error) {
  using Kind = format::FormatErrorKind;
  ErrorCode code = ErrorCode::ModuleDamaged;
  if (error.kind == Kind::Io)
    code = ErrorCode::ModuleIo;
  else if (error.kind == Kind::NotAModule)
    code = ErrorCode::ModuleFormat;
  else if (error.kind == Kind::Version)
    code = ErrorCode::ModuleVersion;
  return core::makeError(code, std::move(error.message));
}

} // namespace

Result<std::shared_ptr<const Module>> Module::load(const std::filesystem::path &path,
                                                   const LoadOptions &options) {
  std::shared_ptr<Module> module(new Module);
  if (auto error = format::ModuleFile::open(path, module->file_))
    return fromFormat(std::move(*error));
  if (Status status = module->prepare(path.string(), options, nullptr); !status.ok())
    return status;
  return std::shared_ptr<const Module>(std::move(module));
}

Result<std::shared_ptr<const Module>>
Module::openEmbedded(std::span<const std::byte> bytes,
                     std::span<const rtorch_embedded_kernel> kernels,
                     const std::string &name, const LoadOptions &options) {
  std::shared_ptr<Module> module(new Module);
  if (auto error = format::ModuleFile::openMemory(bytes, name, module->file_))
    return fromFormat(std::move(*error));
  if (Status status = module->prepare(name, options, &kernels); !status.ok())
    return status;
  return std::shared_ptr<const Module>(std::move(module));
}

Status Module::choose(const LoadOptions &options) {
  const auto levels = file_->levels();
  std::string wanted = options.cpu_level;
  if (wanted.empty())
    if (const char *value = std::getenv("RTORCH_CPU_LEVEL"))
      if (std::ranges::find(levels, value, &format::Manifest::cpu) != levels.end())
        wanted = value;
  Result<size_t> chosen = options.describe_only ? chooseLevel(levels, wanted)
                                                : chooseRunnableLevel(levels, wanted);
  if (!chosen.ok())
    return std::move(chosen).takeStatus();
  level_ = *chosen;
  return {};
}

Status Module::prepare(const std::string &name, const LoadOptions &options,
                       const std::span<const rtorch_embedded_kernel> *kernels) {
  if (options.verify_constants)
    if (auto error = file_->verifyConstants()) {
      error->message = text("'", name, "': ", error->message);
      return fromFormat(std::move(*error));
    }
  const auto named = [&](const Status &status) {
    return core::Error{status.error().code,
                       text("'", name, "': ", status.error().message),
                       status.error().node, status.error().source};
  };
  if (Status status = choose(options); !status.ok())
    return named(status);
  if (!options.describe_only)
    if (Status status =
            constants_.bind(*file_, manifest(), options.weights, options.weights_owner);
        !status.ok())
      return named(status);
  if (Status status = shapeStates(); !status.ok())
    return status;
  flattenSchedule();
  findRoundExprs();
  findRoundParts();
  if (options.describe_only)
    return {};
  if (Status status = openImage(name, kernels); !status.ok())
    return status;
  if (Status status = link(); !status.ok())
    return named(status);
  return {};
}

Status Module::shapeStates() {
  const format::Manifest &m = manifest();
  for (const format::State &state : m.states) {
    StateShape &shape = state_shapes_.emplace_back();
    // A size that depends on a symbol becomes -1, which no extent has.
    for (format::ExprId id : state.tensor.sizes)
      shape.sizes.push_back(core::constantValue(m, id).value_or(-1));
    for (format::ExprId id : state.tensor.strides)
      shape.strides.push_back(core::constantValue(m, id).value_or(-1));
    const auto bytes =
        core::extentBytes(state.tensor.dtype, shape.sizes, shape.strides);
    const uint64_t room = m.constants[state.initial].bytes - state.byte_offset;
    if (!bytes || uint64_t(*bytes) > room)
      return core::makeError(ErrorCode::ModulePlan,
                             text("the module contradicts itself: buffer '", state.name,
                                  "' does not lie within its storage"));
  }
  return {};
}

Status Module::openImage(const std::string &name,
                         const std::span<const rtorch_embedded_kernel> *kernels) {
  if (kernels) {
    image_ = Image::ofProgram(*kernels);
    return {};
  }
  Result<Image> image = Image::open(file_->descriptor(), name);
  if (!image.ok())
    return std::move(image).takeStatus();
  image_ = std::move(*image);
  return {};
}

Status Module::link() {
  const format::Manifest &m = manifest();
  for (size_t i = 0; i < launches_.size(); ++i) {
    const format::Kernel &kernel = m.kernels[m.schedule[i].kernel];
    launches_[i].kernel = image_.find(kernel.symbol);
    if (!launches_[i].kernel)
      return core::makeError(ErrorCode::ModuleLink,
                             text("kernel '", kernel.name, "' expected the symbol '",
                                  kernel.symbol, "', but the image has none"));
  }
  if (Status status = constants_.prepare(m, image_); !status.ok())
    return status;
  runnable_ = true;
  return {};
}

void Module::flattenSchedule() {
  const format::Manifest &m = manifest();
  for (const format::Launch &launch : m.schedule) {
    launches_.push_back(
        {nullptr, uint32_t(operand_count_), uint32_t(value_count_), {}, {}, false});
    for (const format::Operand &operand : launch.operands) {
      const format::StorageKind kind = m.storages[operand.storage].kind;
      if (kind == format::StorageKind::Argument || kind == format::StorageKind::Result)
        call_operands_.push_back(
            {uint32_t(operand_count_), operand.storage, operand.byte_offset});
      ++operand_count_;
    }
    value_count_ += launch.values.size();
  }
}

void Module::findRoundExprs() {
  const format::Manifest &m = manifest();
  depends_on_round_.resize(m.exprs.size());
  round_exprs_.resize(m.loops);
  std::vector<bool> depends(m.exprs.size());
  for (uint32_t loop = 0; loop < m.loops; ++loop)
    for (size_t i = 0; i < m.exprs.size(); ++i) {
      const format::ExprNode &node = m.exprs[i];
      const bool leaf = node.op == format::ExprOp::Constant ||
                        node.op == format::ExprOp::Symbol ||
                        node.op == format::ExprOp::Round;
      depends[i] = leaf ? node.op == format::ExprOp::Round && node.a == loop
                        : depends[size_t(node.a)] || depends[size_t(node.b)];
      if (!depends[i])
        continue;
      depends_on_round_[i] = true;
      round_exprs_[loop].push_back(format::ExprId(i));
    }
}

void Module::findRoundParts() {
  const format::Manifest &m = manifest();
  for (size_t i = 0; i < m.schedule.size(); ++i) {
    const format::Launch &launch = m.schedule[i];
    LaunchEntry &entry = launches_[i];
    entry.round_grid = dependsOnRound(launch.grid);
    for (uint32_t k = 0; k < launch.operands.size(); ++k) {
      const format::Operand &operand = launch.operands[k];
      if (!dependsOnRound(operand.byte_offset))
        continue;
      entry.round_operands.push_back(
          {entry.first_operand + k, operand.storage, operand.byte_offset});
      addCallStorage(operand.storage);
    }
    for (uint32_t k = 0; k < launch.values.size(); ++k)
      if (dependsOnRound(launch.values[k]))
        entry.round_values.push_back({entry.first_value + k, launch.values[k]});
  }
  for (const format::Step &step : m.steps)
    for (const format::Operand &condition : step.condition)
      addCallStorage(condition.storage);
}

void Module::addCallStorage(uint32_t storage) {
  const format::StorageKind kind = manifest().storages[storage].kind;
  const bool call =
      kind == format::StorageKind::Argument || kind == format::StorageKind::Result;
  if (call && std::ranges::find(call_storages_, storage) == call_storages_.end())
    call_storages_.push_back(storage);
}

} // namespace rtorch::executor
