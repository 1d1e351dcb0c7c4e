#include "runtime/executor/ShapePlan.h"

#include "runtime/core/ExprTable.h"
#include "runtime/core/Value.h"
#include "runtime/format/Text.h"

#include <algorithm>

namespace rtorch::executor {

using core::ErrorCode;
using core::Result;
using core::Status;
using format::Manifest;
using format::Storage;
using format::StorageKind;
using format::text;

Result<std::unique_ptr<ShapePlan>> ShapePlan::build(const Module &module,
                                                    std::span<const int64_t> symbols) {
  const Manifest &manifest = module.manifest();
  std::unique_ptr<ShapePlan> plan(new ShapePlan);
  plan->symbols_.assign(symbols.begin(), symbols.end());
  plan->exprs_.resize(manifest.exprs.size());
  plan->rounds_.resize(manifest.loops);
  plan->bases_.resize(manifest.storages.size());
  Status status = core::evaluate(manifest, symbols, plan->exprs_);
  if (status.ok())
    status = plan->checkRelations(manifest);
  if (status.ok())
    status = plan->shapeResults(manifest);
  if (status.ok())
    status = plan->planMemory(module);
  if (status.ok())
    status = plan->planLaunches(module);
  if (!status.ok())
    return status;
  return plan;
}

core::Error ShapePlan::inconsistent(const Manifest &manifest, std::string what) const {
  const std::string sizes = core::printSymbols(manifest, symbols_);
  return core::makeError(ErrorCode::ModulePlan,
                         text("the module contradicts itself",
                              sizes.empty() ? "" : " for ", sizes, ": ", what));
}

namespace {

bool holds(format::Check::Relation relation, int64_t lhs, int64_t rhs) {
  switch (relation) {
  case format::Check::Relation::Eq:
    return lhs == rhs;
  case format::Check::Relation::Ne:
    return lhs != rhs;
  case format::Check::Relation::Lt:
    return lhs < rhs;
  case format::Check::Relation::Le:
    return lhs <= rhs;
  }
  return false;
}

const char *relationName(format::Check::Relation relation) {
  static constexpr const char *names[] = {"==", "!=", "<", "<="};
  return names[size_t(relation)];
}

std::vector<int64_t> evaluated(std::span<const format::ExprId> ids,
                               std::span<const int64_t> exprs) {
  std::vector<int64_t> out;
  for (format::ExprId id : ids)
    out.push_back(exprs[id]);
  return out;
}

} // namespace

Status ShapePlan::checkRelations(const Manifest &manifest) const {
  for (const format::Check &check : manifest.checks) {
    const int64_t lhs = exprs_[check.lhs], rhs = exprs_[check.rhs];
    if (holds(check.relation, lhs, rhs))
      continue;
    core::Error error = core::makeError(
        ErrorCode::LayoutCheck,
        text("expected ", core::printExpr(manifest, check.lhs), " ",
             relationName(check.relation), " ", core::printExpr(manifest, check.rhs),
             ", but got ", lhs, " and ", rhs, " for ",
             core::printSymbols(manifest, symbols_)));
    if (!check.message.empty())
      error.message += text("; needed by ", check.message);
    if (!check.source.empty())
      error.message += text(" at ", check.source);
    error.node = check.message;
    error.source = check.source;
    return error;
  }
  return {};
}

Status ShapePlan::shapeResults(const Manifest &manifest) {
  results_.resize(manifest.results.size());
  for (size_t i = 0; i < results_.size(); ++i) {
    const format::Result &result = manifest.results[i];
    if (result.kind != format::Result::Kind::Tensor &&
        result.kind != format::Result::Kind::View)
      continue;
    ResultShape &shape = results_[i];
    shape.sizes = evaluated(result.tensor.sizes, exprs_);
    shape.strides = evaluated(result.tensor.strides, exprs_);
    auto bytes = core::extentBytes(result.tensor.dtype, shape.sizes, shape.strides);
    if (!bytes)
      return inconsistent(manifest, text("result '", result.name, "' would have sizes ",
                                         core::printList(shape.sizes), " and strides ",
                                         core::printList(shape.strides)));
    shape.bytes = *bytes;
  }
  return {};
}

Result<int64_t> ShapePlan::storageBytes(const Module &module,
                                        const Storage &storage) const {
  const Manifest &manifest = module.manifest();
  switch (storage.kind) {
  case StorageKind::Argument: {
    const format::TensorSpec &spec = manifest.arguments[storage.index].tensor;
    auto bytes = core::extentBytes(spec.dtype, evaluated(spec.sizes, exprs_),
                                   evaluated(spec.strides, exprs_));
    if (!bytes)
      return inconsistent(manifest,
                          text("argument '", manifest.arguments[storage.index].name,
                               "' would have a size that cannot be"));
    return *bytes;
  }
  case StorageKind::Result:
    return results_[storage.index].bytes;
  case StorageKind::Constant:
    return int64_t(manifest.constants[storage.index].bytes);
  case StorageKind::State:
    return int64_t(manifest.constants[manifest.states[storage.index].initial].bytes);
  case StorageKind::Arena:
    break;
  }
  const int64_t offset = exprs_[storage.offset], bytes = exprs_[storage.bytes];
  if (offset < 0 || bytes < 0 || offset % RTORCH_ALIGNMENT != 0 ||
      offset > arena_bytes_ || bytes > arena_bytes_ - offset)
    return inconsistent(manifest, text("a buffer of ", bytes, " bytes at byte ", offset,
                                       " of an arena of ", arena_bytes_, " bytes"));
  return bytes;
}

Status ShapePlan::planMemory(const Module &module) {
  const Manifest &manifest = module.manifest();
  arena_bytes_ = exprs_[manifest.arena_bytes];
  if (arena_bytes_ < 0)
    return inconsistent(manifest, text("an arena of ", arena_bytes_, " bytes"));
  for (const Storage &storage : manifest.storages) {
    Result<int64_t> bytes = storageBytes(module, storage);
    if (!bytes.ok())
      return std::move(bytes).takeStatus();
    storage_bytes_.push_back(*bytes);
  }
  for (size_t i = 0; i < results_.size(); ++i) {
    const format::Result &result = manifest.results[i];
    if (result.kind != format::Result::Kind::View)
      continue;
    const int64_t offset = exprs_[result.byte_offset];
    const int64_t room = storage_bytes_[result.storage];
    // The pointer of an empty view may lie anywhere: nothing is read through it.
    if (results_[i].bytes == 0)
      continue;
    if (offset < 0 || offset > room || results_[i].bytes > room - offset)
      return inconsistent(manifest, text("result '", result.name, "' is a view of ",
                                         results_[i].bytes, " bytes at byte ", offset,
                                         " of a storage of ", room, " bytes"));
  }
  return {};
}

Status ShapePlan::planLaunches(const Module &module) {
  const Manifest &manifest = module.manifest();
  buffers_.resize(module.operandCount());
  for (size_t i = 0; i < manifest.schedule.size(); ++i) {
    const format::Launch &launch = manifest.schedule[i];
    const LaunchEntry &entry = module.launches()[i];
    // What changes from round to round is checked in each.
    if (!entry.round_grid)
      if (Status status = checkGrid(manifest, launch); !status.ok())
        return status;
    const int64_t scratch = exprs_[launch.scratch_bytes];
    if (scratch < 0 || scratch > INT64_MAX / 2)
      return inconsistent(manifest, text("launch '", launch.name, "' has ", scratch,
                                         " bytes of scratch memory"));
    for (const format::Operand &operand : launch.operands) {
      if (module.dependsOnRound(operand.byte_offset))
        continue;
      Status status =
          checkOffset(manifest, launch.name, operand.storage, operand.byte_offset);
      if (!status.ok())
        return status;
    }
    grids_.push_back(exprs_[launch.grid]);
    largest_grid_ =
        std::max(largest_grid_, entry.round_grid ? INT64_MAX : exprs_[launch.grid]);
    scratch_bytes_ = std::max(scratch_bytes_, scratch);
    for (format::ExprId id : launch.values)
      values_.push_back(exprs_[id]);
  }
  scratch_bytes_ =
      (scratch_bytes_ + RTORCH_ALIGNMENT - 1) / RTORCH_ALIGNMENT * RTORCH_ALIGNMENT;
  // The vectors have their final size: frames may point into them.
  for (const LaunchEntry &entry : module.launches())
    frames_.push_back(
        {buffers_.data() + entry.first_operand, values_.data() + entry.first_value});
  return {};
}

Status ShapePlan::checkGrid(const Manifest &manifest,
                            const format::Launch &launch) const {
  if (exprs_[launch.grid] >= 0)
    return {};
  return inconsistent(
      manifest, text("launch '", launch.name, "' has a grid of ", exprs_[launch.grid]));
}

Status ShapePlan::checkOffset(const Manifest &manifest, const std::string &what,
                              uint32_t storage, format::ExprId offset) const {
  // Views of an empty storage are empty, and none of them is read.
  if (storage_bytes_[storage] == 0 ||
      (exprs_[offset] >= 0 && exprs_[offset] <= storage_bytes_[storage]))
    return {};
  return inconsistent(manifest, text("launch '", what, "' has an operand at byte ",
                                     exprs_[offset], " of a storage of ",
                                     storage_bytes_[storage], " bytes"));
}

Status ShapePlan::setRound(const Module &module, size_t loop, int64_t round) {
  rounds_[loop] = round;
  return core::evaluateRound(module.manifest(), module.roundExprs(loop), symbols_,
                             rounds_, exprs_);
}

Status ShapePlan::updateLaunch(const Module &module, size_t index) {
  const Manifest &manifest = module.manifest();
  const LaunchEntry &entry = module.launches()[index];
  const format::Launch &launch = manifest.schedule[index];
  for (const RoundOperand &operand : entry.round_operands) {
    Status status =
        checkOffset(manifest, launch.name, operand.storage, operand.byte_offset);
    if (!status.ok())
      return status;
    buffers_[operand.position] = bases_[operand.storage] + exprs_[operand.byte_offset];
  }
  for (const RoundValue &value : entry.round_values)
    values_[value.position] = exprs_[value.value];
  if (!entry.round_grid)
    return {};
  grids_[index] = exprs_[launch.grid];
  return checkGrid(manifest, launch);
}

Result<bool> ShapePlan::condition(const Module &module,
                                  const format::Operand &operand) const {
  const int64_t offset = exprs_[operand.byte_offset];
  if (offset < 0 || offset >= storage_bytes_[operand.storage])
    return inconsistent(module.manifest(),
                        text("a condition at byte ", offset, " of a storage of ",
                             storage_bytes_[operand.storage], " bytes"));
  return bases_[operand.storage][offset] != std::byte(0);
}

void ShapePlan::bindArena(const Module &module, std::byte *arena,
                          std::span<std::byte *const> states) {
  if (bound_ && bound_arena_ == arena)
    return;
  bound_ = true;
  bound_arena_ = arena;
  const Manifest &manifest = module.manifest();
  for (size_t i = 0; i < bases_.size(); ++i) {
    const Storage &storage = manifest.storages[i];
    if (storage.kind == StorageKind::Arena)
      bases_[i] = arena + exprs_[storage.offset];
    else if (storage.kind == StorageKind::State)
      bases_[i] = states[storage.index];
    else if (storage.kind == StorageKind::Constant)
      bases_[i] = const_cast<std::byte *>(module.constant(storage.index).data());
  }
  size_t position = 0;
  for (const format::Launch &launch : manifest.schedule)
    for (const format::Operand &operand : launch.operands) {
      void *&buffer = buffers_[position++];
      if (bases_[operand.storage])
        buffer = bases_[operand.storage] + exprs_[operand.byte_offset];
    }
}

} // namespace rtorch::executor
