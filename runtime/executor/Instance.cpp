#include "runtime/executor/Instance.h"

#include "runtime/core/ExprTable.h"
#include "runtime/core/StridedCopy.h"
#include "runtime/executor/Contract.h"
#include "runtime/executor/Relayout.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <cstring>

namespace rtorch::executor {

using core::ErrorCode;
using core::Result;
using core::Status;
using core::TensorView;
using core::Value;
using format::Manifest;
using format::StorageKind;
using format::text;

namespace {

/// Plans that an instance keeps; the one not used for longest is dropped.
constexpr size_t kMaxPlans = 32;
constexpr unsigned kMaxThreads = 1024;

bool isTensor(const format::Result &result) {
  return result.kind == format::Result::Kind::Tensor;
}

/// The threads that a run uses and that its memory is laid out for.
unsigned threadsOf(const ShapePlan &plan, unsigned wanted) {
  const int64_t threads = std::min(wanted ? wanted : defaultThreads(), kMaxThreads);
  return unsigned(std::clamp<int64_t>(plan.largestGrid(), 1, threads));
}

/// Bytes of intermediates and of scratch memory for each thread; nullopt: too many.
std::optional<int64_t> workspaceBytes(const ShapePlan &plan, unsigned threads) {
  int64_t arena = 0, scratch = 0, total = 0;
  if (__builtin_add_overflow(plan.arenaBytes(), RTORCH_ALIGNMENT - 1, &arena) ||
      __builtin_mul_overflow(plan.scratchBytes(), int64_t(threads), &scratch) ||
      __builtin_add_overflow(arena / RTORCH_ALIGNMENT * RTORCH_ALIGNMENT, scratch,
                             &total))
    return std::nullopt;
  return total;
}

core::Error tooLarge(const Manifest &manifest, std::span<const int64_t> symbols) {
  return core::makeError(ErrorCode::MemoryExhausted,
                         text("there is no memory for the run: its size does not fit "
                              "into 64 bits for ",
                              core::printSymbols(manifest, symbols)));
}

Value constantLeaf(const format::ConstantValue &constant) {
  using Kind = format::ConstantValue::Kind;
  Value value;
  switch (constant.kind) {
  case Kind::None:
    break;
  case Kind::Bool:
  case Kind::Int:
    value.kind = constant.kind == Kind::Bool ? Value::Kind::Bool : Value::Kind::Int;
    value.integer = constant.integer;
    break;
  case Kind::Float:
    value.kind = Value::Kind::Float;
    value.real = constant.real;
    break;
  case Kind::String:
    value.kind = Value::Kind::String;
    value.string = constant.string.c_str();
    break;
  }
  return value;
}

} // namespace

Instance::Instance(std::shared_ptr<const Module> module)
    : module_(std::move(module)), overlap_(module_->manifest()) {
  const Manifest &manifest = module_->manifest();
  symbols_.resize(manifest.symbols.size());
  placed_.resize(manifest.arguments.size());
  copies_.resize(manifest.arguments.size());
  copy_strides_.resize(manifest.arguments.size());
  own_results_.resize(manifest.results.size());
  result_bases_.resize(manifest.results.size());
  plans_.reserve(kMaxPlans);
}

Result<std::unique_ptr<Instance>>
Instance::create(std::shared_ptr<const Module> module) {
  if (!module->isRunnable())
    return core::makeError(
        ErrorCode::ModuleNotRunnable,
        "the module was loaded to be described only, and cannot run");
  std::unique_ptr<Instance> instance(new Instance(std::move(module)));
  if (Status status = instance->initializeStates(); !status.ok())
    return status;
  return instance;
}

Status Instance::initializeStates() {
  const Manifest &manifest = module_->manifest();
  states_.resize(manifest.states.size());
  for (size_t i = 0; i < states_.size(); ++i) {
    const auto initial = module_->constant(manifest.states[i].initial);
    if (Status status = states_[i].reserve(initial.size(), "a buffer"); !status.ok())
      return status;
    if (!initial.empty())
      std::memcpy(states_[i].data(), initial.data(), initial.size());
    state_bases_.push_back(states_[i].data());
  }
  return {};
}

core::Error Instance::busyError() {
  return core::makeError(ErrorCode::RunBusy,
                         "the instance is in use by another run; expected one run at "
                         "a time, or an instance for each thread");
}

Status Instance::run(const Turn &, std::span<const Value> arguments,
                     std::span<Value> results, const RunOptions &options,
                     RunReport &report) {
  report = {};
  const int64_t begin = options.measure_check ? nowNanoseconds() : 0;
  Result<ShapePlan *> found = checkContract(arguments, results, options, report);
  if (options.measure_check)
    report.check_ns += nowNanoseconds() - begin;
  if (!found.ok())
    return std::move(found).takeStatus();
  ShapePlan &plan = **found;
  const unsigned threads = threadsOf(plan, options.threads);
  Status status = bindMemory(plan, options, threads);
  if (status.ok() && options.profile.call && spans_.size() < threads)
    spans_.resize(threads);
  if (status.ok())
    status = ScheduleRun(*module_, plan, threads, options.parallel, scratch_,
                         options.profile, spans_)
                 .run();
  if (!status.ok())
    return status;
  if (report.copies != 0)
    copyBack(arguments);
  describeResults(plan, results);
  return {};
}

Result<ShapePlan *> Instance::checkContract(std::span<const Value> arguments,
                                            std::span<Value> results,
                                            const RunOptions &options,
                                            RunReport &report) {
  Result<ShapePlan *> plan = planFor(arguments);
  if (!plan.ok())
    return plan;
  for (size_t i = 0; i < arguments.size(); ++i)
    placed_[i] = arguments[i].tensor;
  Status status = placeArguments(**plan, options, report);
  if (status.ok())
    status = placeResults(**plan, results, options);
  if (status.ok())
    status = checkOverlap(arguments, results, options);
  if (!status.ok())
    return status;
  return plan;
}

Result<ShapePlan *> Instance::planFor(std::span<const Value> arguments) {
  const Manifest &manifest = module_->manifest();
  if (Status status = readSymbols(manifest, arguments, symbols_); !status.ok())
    return status;
  ShapePlan *plan = nullptr;
  for (const auto &candidate : plans_)
    if (std::ranges::equal(candidate->symbols(), symbols_))
      plan = candidate.get();
  std::unique_ptr<ShapePlan> fresh;
  if (!plan) {
    auto built = ShapePlan::build(*module_, symbols_);
    if (!built.ok())
      return std::move(built).takeStatus();
    fresh = std::move(*built);
    plan = fresh.get();
  }
  if (Status status = checkSizes(manifest, *plan, arguments); !status.ok())
    return status;
  plan->last_use = ++runs_;
  if (fresh && plans_.size() == kMaxPlans)
    *std::ranges::min_element(plans_, {}, [](const auto &p) { return p->last_use; }) =
        std::move(fresh);
  else if (fresh)
    plans_.push_back(std::move(fresh));
  return plan;
}

Status Instance::placeArguments(const ShapePlan &plan, const RunOptions &options,
                                RunReport &report) {
  const Manifest &manifest = module_->manifest();
  for (size_t i = 0; i < placed_.size(); ++i) {
    if (manifest.arguments[i].kind != format::Argument::Kind::Tensor)
      continue;
    Status status = checkPlacement(manifest, plan, i, placed_[i]);
    if (status.ok())
      continue;
    const ErrorCode code = status.error().code;
    if (!options.relayout ||
        (code != ErrorCode::LayoutStride && code != ErrorCode::LayoutAlignment))
      return status;
    const int64_t begin = options.measure_check ? nowNanoseconds() : 0;
    if (Status copied = relayout(plan, i, report); !copied.ok())
      return copied;
    if (options.measure_check)
      report.check_ns -= nowNanoseconds() - begin;
  }
  return {};
}

Status Instance::relayout(const ShapePlan &plan, size_t index, RunReport &report) {
  const Manifest &manifest = module_->manifest();
  const format::TensorSpec &spec = manifest.arguments[index].tensor;
  TensorView &tensor = placed_[index];
  std::vector<int64_t> &strides = copy_strides_[index];
  strides.clear();
  for (format::ExprId id : spec.strides)
    strides.push_back(plan.value(id));
  const auto bytes = core::extentBytes(spec.dtype, tensor.sizes, strides);
  if (!bytes || hasSharedElements(tensor.sizes, strides))
    return core::makeError(
        ErrorCode::LayoutStride,
        text(argumentName(manifest, index), ": expected strides ",
             core::printList(strides), " for sizes ", core::printList(tensor.sizes),
             ", in which elements share memory, but got ",
             core::printList(tensor.strides), "; no copy can have those strides"));
  if (Status status = copies_[index].reserve(size_t(*bytes), "a copied argument");
      !status.ok())
    return status;
  core::copyStrided(tensor.sizes, core::elementBytes(spec.dtype), copies_[index].data(),
                    strides, static_cast<const std::byte *>(tensor.data),
                    tensor.strides);
  tensor.data = copies_[index].data();
  tensor.strides = strides;
  ++report.copies;
  report.copied_bytes += *bytes;
  return {};
}

void Instance::copyBack(std::span<const Value> arguments) const {
  for (size_t i = 0; i < placed_.size(); ++i) {
    const TensorView &original = arguments[i].tensor;
    if (!module_->manifest().arguments[i].mutated || placed_[i].data == original.data)
      continue;
    core::copyStrided(original.sizes, core::elementBytes(original.dtype),
                      static_cast<std::byte *>(original.data), original.strides,
                      static_cast<const std::byte *>(placed_[i].data),
                      placed_[i].strides);
  }
}

Status Instance::placeResults(const ShapePlan &plan, std::span<Value> results,
                              const RunOptions &options) {
  const Manifest &manifest = module_->manifest();
  if (results.size() != manifest.results.size())
    return core::makeError(ErrorCode::ArgumentCount,
                           text("the call: expected ", manifest.results.size(),
                                " results, but got ", results.size()));
  for (size_t i = 0; i < results.size(); ++i)
    if (Status status = placeResult(plan, i, results[i], options); !status.ok())
      return status;
  return {};
}

Status Instance::placeResult(const ShapePlan &plan, size_t index, Value &result,
                             const RunOptions &options) {
  const Manifest &manifest = module_->manifest();
  if (!isTensor(manifest.results[index]))
    return {};
  // What an earlier run left here is no memory of the caller's.
  const bool given = result.kind == Value::Kind::Tensor && result.tensor.data &&
                     result.tensor.data != own_results_[index].data();
  if (given) {
    result_bases_[index] = static_cast<std::byte *>(result.tensor.data);
    return checkResultBuffer(manifest, plan, index, result);
  }
  const ResultShape &shape = plan.result(index);
  result = Value{
      Value::Kind::Tensor,
      {manifest.results[index].tensor.dtype, shape.sizes, shape.strides, nullptr}};
  if (options.allocate.call) {
    result.tensor.data = options.allocate.call(options.allocate.user, index,
                                               result.tensor, size_t(shape.bytes));
    if (!result.tensor.data && shape.bytes != 0)
      return core::makeError(ErrorCode::MemoryExhausted,
                             text(resultName(manifest, index), ": expected ",
                                  shape.bytes, " bytes, but the allocator gave none"));
    result_bases_[index] = static_cast<std::byte *>(result.tensor.data);
    return checkResultBuffer(manifest, plan, index, result);
  }
  if (Status status = own_results_[index].reserve(size_t(shape.bytes), "a result");
      !status.ok())
    return status;
  result.tensor.data = result_bases_[index] = own_results_[index].data();
  return {};
}

Status Instance::checkOverlap(std::span<const Value> arguments,
                              std::span<const Value> results,
                              const RunOptions &options) {
  using Owner = OverlapCheck::Owner;
  const Manifest &manifest = module_->manifest();
  overlap_.clear();
  for (size_t i = 0; i < arguments.size(); ++i)
    if (manifest.arguments[i].kind == format::Argument::Kind::Tensor)
      overlap_.addTensor(Owner::Argument, i, arguments[i].tensor,
                         manifest.arguments[i].mutated);
  for (size_t i = 0; i < results.size(); ++i)
    if (isTensor(manifest.results[i]))
      overlap_.addTensor(Owner::Result, i, results[i].tensor, true);
  for (size_t i = 0; i < states_.size(); ++i)
    overlap_.add(Owner::State, i, states_[i].data(), int64_t(states_[i].size()), true);
  if (options.arena)
    overlap_.add(Owner::Arena, 0, options.arena, int64_t(options.arena_bytes), true);
  return overlap_.check();
}

Status Instance::bindMemory(ShapePlan &plan, const RunOptions &options,
                            unsigned threads) {
  const Manifest &manifest = module_->manifest();
  const auto bytes = workspaceBytes(plan, threads);
  if (!bytes)
    return tooLarge(manifest, plan.symbols());
  if (options.arena) {
    arena_ = static_cast<std::byte *>(options.arena);
    if (reinterpret_cast<uintptr_t>(arena_) % RTORCH_ALIGNMENT != 0 ||
        options.arena_bytes < size_t(*bytes))
      return core::makeError(
          ErrorCode::MemoryArena,
          text("the arena: expected ", *bytes, " bytes aligned to ", RTORCH_ALIGNMENT,
               " for ", threads, " threads, but got ", options.arena_bytes,
               " bytes at an address that is ",
               reinterpret_cast<uintptr_t>(arena_) % RTORCH_ALIGNMENT, " bytes off"));
  } else {
    if (Status status = workspace_.reserve(size_t(*bytes), "the arena"); !status.ok())
      return status;
    arena_ = workspace_.data();
  }
  scratch_ = arena_ + (*bytes - plan.scratchBytes() * int64_t(threads));
  plan.bindArena(*module_, arena_, state_bases_);
  for (const CallOperand &operand : module_->callOperands()) {
    const format::Storage &storage = manifest.storages[operand.storage];
    plan.bindOperand(operand,
                     storage.kind == StorageKind::Argument
                         ? static_cast<std::byte *>(placed_[storage.index].data)
                         : result_bases_[storage.index]);
  }
  for (uint32_t id : module_->callStorages()) {
    const format::Storage &storage = manifest.storages[id];
    plan.bindStorage(id, storage.kind == StorageKind::Argument
                             ? static_cast<std::byte *>(placed_[storage.index].data)
                             : result_bases_[storage.index]);
  }
  return {};
}

void Instance::describeResults(const ShapePlan &plan, std::span<Value> results) const {
  const Manifest &manifest = module_->manifest();
  for (size_t i = 0; i < results.size(); ++i) {
    const format::Result &spec = manifest.results[i];
    const ResultShape &shape = plan.result(i);
    Value &result = results[i];
    switch (spec.kind) {
    case format::Result::Kind::Tensor:
      result.tensor.sizes = shape.sizes;
      result.tensor.strides = shape.strides;
      break;
    case format::Result::Kind::View: {
      const format::Storage &storage = manifest.storages[spec.storage];
      std::byte *base = nullptr;
      if (storage.kind == StorageKind::Argument)
        base = static_cast<std::byte *>(placed_[storage.index].data);
      else if (storage.kind == StorageKind::Result)
        base = result_bases_[storage.index];
      else if (storage.kind == StorageKind::State)
        base = state_bases_[storage.index];
      else if (storage.kind == StorageKind::Arena)
        base = arena_ + plan.value(storage.offset);
      else
        base = const_cast<std::byte *>(module_->constant(storage.index).data());
      result = Value{Value::Kind::Tensor,
                     {spec.tensor.dtype, shape.sizes, shape.strides,
                      base ? base + plan.value(spec.byte_offset) : nullptr}};
      break;
    }
    case format::Result::Kind::Int:
      result = Value{};
      result.kind = Value::Kind::Int;
      result.integer = plan.value(spec.value);
      break;
    case format::Result::Kind::Constant:
      result = constantLeaf(spec.constant);
      break;
    }
  }
}

Result<Value> Instance::state(size_t index) const {
  const Manifest &manifest = module_->manifest();
  if (index >= states_.size())
    return core::makeError(
        ErrorCode::ApiUsage,
        text("there is no buffer ", index, "; the module has ", states_.size()));
  const format::State &state = manifest.states[index];
  const StateShape &shape = module_->stateShape(index);
  return Value{Value::Kind::Tensor,
               {state.tensor.dtype, shape.sizes, shape.strides,
                state_bases_[index] + state.byte_offset}};
}

Result<MemoryNeeds> memoryOf(const Module &module, std::span<const int64_t> symbols,
                             unsigned threads) {
  const Manifest &manifest = module.manifest();
  if (symbols.size() != manifest.symbols.size())
    return core::makeError(ErrorCode::ApiUsage,
                           text("expected ", manifest.symbols.size(),
                                " symbol values, but got ", symbols.size()));
  auto plan = ShapePlan::build(module, symbols);
  if (!plan.ok())
    return std::move(plan).takeStatus();
  const auto bytes = workspaceBytes(**plan, threadsOf(**plan, threads));
  if (!bytes)
    return tooLarge(manifest, symbols);
  MemoryNeeds needs;
  needs.arena = *bytes;
  bool overflows = false;
  auto add = [&](int64_t &sum, int64_t more) {
    overflows |= __builtin_add_overflow(sum, more, &sum);
  };
  for (size_t i = 0; i < manifest.results.size(); ++i)
    if (isTensor(manifest.results[i]))
      add(needs.results, (*plan)->result(i).bytes);
  for (const format::State &state : manifest.states)
    add(needs.states, int64_t(manifest.constants[state.initial].bytes));
  needs.constants = int64_t(module.file().trailer().constants_bytes);
  for (int64_t part : {needs.arena, needs.results, needs.states})
    add(needs.peak, part);
  if (overflows)
    return tooLarge(manifest, symbols);
  return needs;
}

} // namespace rtorch::executor
