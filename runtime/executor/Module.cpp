#include "runtime/executor/Module.h"

#include "runtime/core/ExprTable.h"
#include "runtime/core/Value.h"
#include "runtime/executor/CpuFeatures.h"
#include "runtime/format/Text.h"

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
  if (options.verify_constants)
    if (auto error = module->file_->verifyConstants()) {
      error->message = text("'", path.string(), "': ", error->message);
      return fromFormat(std::move(*error));
    }
  if (Status status = module->shapeStates(); !status.ok())
    return status;
  module->flattenSchedule();
  if (!options.describe_only)
    if (Status status = module->link(path.string()); !status.ok())
      return status;
  return std::shared_ptr<const Module>(std::move(module));
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

Status Module::link(const std::string &path) {
  const format::Manifest &m = manifest();
  if (Status status = checkTarget(m.triple, m.cpu, m.features); !status.ok())
    return core::makeError(status.error().code,
                           text("'", path, "': ", status.error().message));
  Result<Image> image = Image::open(file_->descriptor(), path);
  if (!image.ok())
    return std::move(image).takeStatus();
  image_ = std::move(*image);
  for (size_t i = 0; i < launches_.size(); ++i) {
    const format::Kernel &kernel = m.kernels[m.schedule[i].kernel];
    launches_[i].kernel = image_.find(kernel.symbol);
    if (!launches_[i].kernel)
      return core::makeError(ErrorCode::ModuleLink,
                             text("'", path, "': kernel '", kernel.name,
                                  "' expected the symbol '", kernel.symbol,
                                  "', but the image has none"));
  }
  runnable_ = true;
  return {};
}

void Module::flattenSchedule() {
  const format::Manifest &m = manifest();
  for (const format::Launch &launch : m.schedule) {
    launches_.push_back({nullptr, uint32_t(operand_count_), uint32_t(value_count_)});
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

} // namespace rtorch::executor
