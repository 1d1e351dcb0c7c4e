#include "compiler/emit/ModuleBuilder.h"

#include "compiler/codegen/gemm/PackedLayout.h"
#include "compiler/emit/ExprTableBuilder.h"
#include "compiler/emit/Locations.h"
#include "compiler/schedule/Passes.h"
#include "compiler/schedule/ViewChain.h"
#include "runtime/core/DType.h"
#include "runtime/format/ModuleFile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AttrTypeSubElements.h"

#include <set>

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::schedule::viewRoot;

namespace rtorch::emit {
namespace {
using rt::TensorType;
using rt::tensorType;

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

format::DType dtypeOf(Type type) {
  if (type.isInteger(1))
    return format::DType::Bool;
  if (type.isUnsignedInteger(8))
    return format::DType::U8;
  if (type.isInteger(8))
    return format::DType::I8;
  if (type.isInteger(16))
    return format::DType::I16;
  if (type.isInteger(32))
    return format::DType::I32;
  if (type.isInteger(64))
    return format::DType::I64;
  if (type.isF16())
    return format::DType::F16;
  if (type.isBF16())
    return format::DType::BF16;
  return type.isF32() ? format::DType::F32 : format::DType::F64;
}

format::ConstantValue constantValue(Attribute attr) {
  using Kind = format::ConstantValue::Kind;
  format::ConstantValue value;
  if (auto text = dyn_cast_or_null<StringAttr>(attr)) {
    value.kind = Kind::String;
    value.string = text.str();
  } else if (auto real = dyn_cast_or_null<FloatAttr>(attr)) {
    value.kind = Kind::Float;
    value.real = real.getValueAsDouble();
  } else if (auto boolean = dyn_cast_or_null<BoolAttr>(attr)) {
    value.kind = Kind::Bool;
    value.integer = boolean.getValue();
  } else if (auto integer = dyn_cast_or_null<IntegerAttr>(attr)) {
    value.kind = Kind::Int;
    value.integer = integer.getInt();
  }
  return value;
}

class Builder {
public:
  Builder(ModuleOp module, const std::vector<CompiledKernel> &kernels,
          const StorageBytes &storages, const ExternalWeights *external)
      : module_(module), kernels_(kernels), storages_(storages), external_(external),
        exprs_(built_.manifest), function_(*module.getOps<func::FuncOp>().begin()) {}

  llvm::Expected<BuiltModule> run(StringRef modelName, const codegen::Target &target);

private:
  bool placeSymbol(format::Symbol &symbol, bool multiples);
  llvm::Error addSymbols();
  void addArguments();
  void addResults();
  llvm::DenseMap<Value, size_t> assignResultMemory(ArrayAttr entries,
                                                   rt::ReturnOp returned);
  void addChecks();
  void addSchedule();
  void addSteps(Block &block);
  format::Launch describeLaunch(rt::LaunchOp launch,
                                llvm::ArrayRef<CompiledKernel> kernels,
                                size_t firstKernel);
  void addLaunch(rt::LaunchOp launch);
  void addInit();
  void addWeights();
  void addLoop(rt::LoopOp loop);
  void addBranch(rt::IfOp branch);
  void addArenaStorage(Value value, Attribute slot);
  format::TensorSpec spec(TensorType type);
  uint32_t addStorage(format::StorageKind kind, uint32_t index);
  /// The storage that a root's elements live in.
  uint32_t storageOf(Value root);
  uint32_t parameterStorage(rt::ParameterOp op);
  uint32_t packedStorage(rt::PackOp op);
  /// The constant that is a storage of the program, whoever brings its bytes.
  uint32_t constantOf(int64_t number, llvm::StringRef name);
  bool isExternal(int64_t number) const;
  bool isComputed(int64_t number) const {
    return external_ && llvm::is_contained(external_->initStorages, number);
  }
  uint32_t addConstant(std::string name, uint64_t bytes, ConstantSource source);
  format::Operand operandOf(Value value);
  /// Where call argument `index` stands in rt.arguments.
  StringAttr kindOf(DictionaryAttr entry) { return entry.getAs<StringAttr>("kind"); }

  ModuleOp module_;
  const std::vector<CompiledKernel> &kernels_;
  const StorageBytes &storages_;
  const ExternalWeights *external_;
  BuiltModule built_;
  ExprTableBuilder exprs_;
  func::FuncOp function_;
  llvm::DenseMap<Value, uint32_t> storageIds_;
  llvm::DenseMap<int64_t, uint32_t> parameterStorages_;
  llvm::DenseSet<int64_t> writtenStorages_; // through any of their parameters
  llvm::DenseMap<int64_t, uint32_t> storageConstants_;
  llvm::DenseMap<unsigned, uint32_t> callIndex_; // function argument -> call argument
};

format::TensorSpec Builder::spec(TensorType type) {
  return {dtypeOf(type.getElementType()), exprs_.add(type.getSizes()),
          exprs_.add(type.getStrides())};
}

uint32_t Builder::addStorage(format::StorageKind kind, uint32_t index) {
  built_.manifest.storages.push_back({kind, index, 0, 0});
  return built_.manifest.storages.size() - 1;
}

//===----------------------------------------------------------------------===//
// The contract
//===----------------------------------------------------------------------===//

/// The symbols that sizes, strides, guards and numbers of the program are made of.
static std::set<std::string> usedSymbols(FunctionOpInterface function) {
  std::set<std::string> used;
  AttrTypeWalker walker;
  walker.addWalk([&](rt::ExprAttr attr) {
    for (const std::string &symbol : attr.getValue().symbols())
      used.insert(symbol);
  });
  function.walk([&](Operation *op) {
    walker.walk(op->getAttrDictionary());
    for (Type type : op->getResultTypes())
      walker.walk(type);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (BlockArgument argument : block.getArguments())
          walker.walk(argument.getType());
  });
  return used;
}

/// Whether `expr` is a positive multiple of the symbol and a number; sets how it is
/// read then.
static bool readsSymbol(const Expr &expr, format::Symbol &symbol) {
  if (expr.symbols() != std::set<std::string>{symbol.name})
    return false;
  auto at = [&](int64_t value) {
    return expr.substitute({{symbol.name, Expr(value)}}).constant();
  };
  std::optional<int64_t> offset = at(0), first = at(1);
  if (!offset || !first || *first - *offset < 1)
    return false;
  symbol.step = *first - *offset;
  symbol.offset = *offset;
  return expr == Expr::symbol(symbol.name) * Expr(symbol.step) + Expr(symbol.offset);
}

/// Each symbol is read from the first argument dim, or integer argument, that is it;
/// where there is none, from one that is a multiple of it.
bool Builder::placeSymbol(format::Symbol &symbol, bool multiples) {
  auto matches = [&](const Expr &expr) {
    return multiples ? readsSymbol(expr, symbol) : expr.symbolName() == symbol.name;
  };
  auto arguments = function_->getAttrOfType<ArrayAttr>("rt.arguments");
  for (auto [position, attr] :
       llvm::enumerate(arguments.getAsRange<DictionaryAttr>())) {
    symbol.argument = position;
    if (kindOf(attr) == "tensor") {
      auto type = cast<TensorType>(
          function_.getArgumentTypes()[attr.getAs<IntegerAttr>("index").getInt()]);
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        if (matches(type.getSize(dim))) {
          symbol.dim = dim;
          return true;
        }
    } else if (kindOf(attr) == "int" &&
               matches(attr.getAs<rt::ExprAttr>("value").getValue())) {
      symbol.dim = -1;
      return true;
    }
  }
  return false;
}

llvm::Error Builder::addSymbols() {
  std::set<std::string> used = usedSymbols(function_), rounds;
  function_.walk([&](rt::LoopOp loop) { rounds.insert(loop.getRound().str()); });
  auto symbols = function_->getAttrOfType<ArrayAttr>(rt::kSymbolsAttr);
  for (auto symbol : symbols.getAsRange<rt::SymbolAttr>()) {
    format::Symbol entry;
    entry.name = symbol.getName().str();
    if (rounds.contains(entry.name))
      continue;
    entry.min = symbol.getMin();
    entry.max = symbol.getMax();
    bool found = placeSymbol(entry, false) || placeSymbol(entry, true);
    // Decomposing leaves ranges of symbols behind that nothing has.
    if (!found && !used.contains(entry.name))
      continue;
    if (!found)
      return failure("symbol '" + entry.name +
                     "' is not the size of any input's dim, nor is a multiple of it");
    built_.manifest.symbols.push_back(std::move(entry));
  }
  return llvm::Error::success();
}

void Builder::addArguments() {
  llvm::DenseSet<Value> written;
  function_.walk([&](rt::LaunchOp launch) {
    for (Value target : launch.getTargets()) {
      Value root = viewRoot(target);
      written.insert(root);
      if (auto parameter = root.getDefiningOp<rt::ParameterOp>())
        writtenStorages_.insert(parameter.getStorage());
    }
  });
  auto arguments = function_->getAttrOfType<ArrayAttr>("rt.arguments");
  for (auto [position, attr] :
       llvm::enumerate(arguments.getAsRange<DictionaryAttr>())) {
    format::Argument argument;
    argument.name = attr.getAs<StringAttr>("name").str();
    if (kindOf(attr) == "tensor") {
      unsigned index = attr.getAs<IntegerAttr>("index").getInt();
      Value value = function_.getArgument(index);
      argument.tensor = spec(tensorType(value));
      argument.alignment = tensorType(value).getElementBytes();
      argument.mutated = written.contains(value);
      NodeLocation location;
      for (Operation *user : value.getUsers())
        if (location.node.empty())
          location = describe(user->getLoc());
      argument.needed_by = location.node;
      argument.source = location.source;
      callIndex_[index] = position;
    } else if (kindOf(attr) == "int") {
      argument.kind = format::Argument::Kind::Int;
      argument.value = exprs_.add(attr.getAs<rt::ExprAttr>("value").getValue());
    } else {
      argument.kind = format::Argument::Kind::Constant;
      argument.constant = constantValue(attr.get("value"));
    }
    built_.manifest.arguments.push_back(std::move(argument));
  }
}

void Builder::addChecks() {
  auto guards = function_->getAttrOfType<ArrayAttr>(rt::kGuardsAttr);
  if (!guards)
    return;
  for (auto guard : guards.getAsRange<rt::GuardAttr>()) {
    format::Check check;
    check.relation = llvm::StringSwitch<format::Check::Relation>(guard.getRelation())
                         .Case("eq", format::Check::Relation::Eq)
                         .Case("ne", format::Check::Relation::Ne)
                         .Case("lt", format::Check::Relation::Lt)
                         .Default(format::Check::Relation::Le);
    check.lhs = exprs_.add(guard.getLhs().getValue());
    check.rhs = exprs_.add(guard.getRhs().getValue());
    check.message = guard.getReason().str();
    check.source = guard.getSource().str();
    built_.manifest.checks.push_back(std::move(check));
  }
}

/// Tensors that a result covers live in that result's memory: gives the position, plus
/// one, of the result that owns each.
llvm::DenseMap<Value, size_t> Builder::assignResultMemory(ArrayAttr entries,
                                                          rt::ReturnOp returned) {
  llvm::DenseMap<Value, size_t> owners;
  layout::Guards guards = rt::guardsAround(returned);
  for (auto [position, attr] : llvm::enumerate(entries.getAsRange<DictionaryAttr>())) {
    if (kindOf(attr) != "tensor")
      continue;
    Value value = returned.getOperand(attr.getAs<IntegerAttr>("index").getInt()),
          root = viewRoot(value);
    if (!schedule::isExternal(root) && schedule::coversRoot(value, guards) &&
        owners.try_emplace(root, position + 1).second)
      storageIds_[root] = addStorage(format::StorageKind::Result, position);
  }
  return owners;
}

void Builder::addResults() {
  auto entries = function_->getAttrOfType<ArrayAttr>("rt.results");
  auto returned = cast<rt::ReturnOp>(function_.front().back());
  llvm::DenseMap<Value, size_t> owners = assignResultMemory(entries, returned);
  for (auto [position, attr] : llvm::enumerate(entries.getAsRange<DictionaryAttr>())) {
    format::Result result;
    if (auto name = attr.getAs<StringAttr>("name"))
      result.name = name.str();
    if (kindOf(attr) == "tensor") {
      Value value = returned.getOperand(attr.getAs<IntegerAttr>("index").getInt());
      Value root = viewRoot(value);
      result.tensor = spec(tensorType(value));
      if (owners.lookup(root) == position + 1) {
        result.kind = format::Result::Kind::Tensor;
      } else {
        // Results that share what none of them covers are views of the arena.
        if (auto launch = root.getDefiningOp<rt::LaunchOp>())
          addArenaStorage(
              root, launch.getSlotsAttr()[cast<OpResult>(root).getResultNumber()]);
        else if (auto buffer = root.getDefiningOp<rt::BufferOp>())
          addArenaStorage(root, buffer.getSlotAttr());
        format::Operand view = operandOf(value);
        result.kind = format::Result::Kind::View;
        result.storage = view.storage;
        result.byte_offset = view.byte_offset;
      }
    } else if (kindOf(attr) == "int") {
      result.kind = format::Result::Kind::Int;
      result.value = exprs_.add(attr.getAs<rt::ExprAttr>("value").getValue());
    } else {
      result.kind = format::Result::Kind::Constant;
      result.constant = constantValue(attr.get("value"));
    }
    built_.manifest.results.push_back(std::move(result));
  }
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

uint32_t Builder::addConstant(std::string name, uint64_t bytes, ConstantSource source) {
  format::Constant constant;
  constant.name = std::move(name);
  constant.bytes = bytes;
  built_.manifest.constants.push_back(std::move(constant));
  built_.constants.push_back(source);
  return built_.manifest.constants.size() - 1;
}

bool Builder::isExternal(int64_t number) const {
  return external_ && llvm::any_of(external_->weights, [&](const auto &weight) {
           return weight.storage == number;
         });
}

uint32_t Builder::constantOf(int64_t number, llvm::StringRef name) {
  auto [constant, isNew] = storageConstants_.try_emplace(number, 0);
  if (isNew) {
    constant->second = addConstant(name.str(), storages_(number).size(), {number});
    if (isExternal(number))
      built_.manifest.constants.back().kind = format::Constant::Kind::Weight;
  }
  return constant->second;
}

uint32_t Builder::parameterStorage(rt::ParameterOp op) {
  int64_t number = op.getStorage();
  auto [it, isNew] = parameterStorages_.try_emplace(number, 0);
  if (!isNew)
    return it->second;
  uint32_t constant = constantOf(number, op.getName());
  // A storage that any of its parameters is written through is the instance's own.
  if (!writtenStorages_.contains(number))
    return it->second = addStorage(format::StorageKind::Constant, constant);
  format::State state;
  state.name = op.getName().str();
  state.tensor = spec(tensorType(op.getResult()));
  state.byte_offset = tensorType(op.getResult()).getOffset().constant().value_or(0) *
                      tensorType(op.getResult()).getElementBytes();
  state.initial = constant;
  built_.manifest.states.push_back(std::move(state));
  return it->second =
             addStorage(format::StorageKind::State, built_.manifest.states.size() - 1);
}

uint32_t Builder::packedStorage(rt::PackOp op) {
  TensorType source = tensorType(op.getSource());
  auto number = [](const Expr &expr) { return *expr.constant(); };
  int64_t k = op.getTransposed() ? 1 : 0;
  auto parameter = viewRoot(op.getSource()).getDefiningOp<rt::ParameterOp>();
  ConstantSource from;
  from.storage = parameter.getStorage();
  from.packed = true;
  from.elementBytes = source.getElementBytes();
  from.columns = op.getPanel();
  from.k = number(source.getSize(k));
  from.n = number(source.getSize(1 - k));
  from.offset = number(source.getOffset());
  from.rowStride = number(source.getStrides()[k]);
  from.columnStride = number(source.getStrides()[1 - k]);
  uint64_t bytes =
      number(layout::numel(tensorType(op.getResult()).getSizes())) * from.elementBytes;
  // Before the constant itself: it may have to be made, too.
  bool later = isExternal(from.storage) || isComputed(from.storage);
  uint32_t unpacked = later ? constantOf(from.storage, parameter.getName()) : 0;
  uint32_t packed = addConstant(parameter.getName().str(), bytes, from);
  if (later) {
    format::Constant &constant = built_.manifest.constants[packed];
    constant.kind = format::Constant::Kind::Packed;
    constant.source = unpacked;
    constant.packing = {static_cast<uint64_t>(from.elementBytes),
                        static_cast<uint64_t>(from.columns),
                        static_cast<uint64_t>(from.k),
                        static_cast<uint64_t>(from.n),
                        static_cast<uint64_t>(from.offset),
                        static_cast<uint64_t>(from.rowStride),
                        static_cast<uint64_t>(from.columnStride)};
  }
  return addStorage(format::StorageKind::Constant, packed);
}

uint32_t Builder::storageOf(Value root) {
  auto it = storageIds_.find(root);
  if (it != storageIds_.end())
    return it->second;
  uint32_t id;
  if (auto argument = dyn_cast<BlockArgument>(root))
    id = addStorage(format::StorageKind::Argument,
                    callIndex_.lookup(argument.getArgNumber()));
  else if (auto parameter = root.getDefiningOp<rt::ParameterOp>())
    id = parameterStorage(parameter);
  else
    id = packedStorage(cast<rt::PackOp>(root.getDefiningOp()));
  return storageIds_[root] = id;
}

format::Operand Builder::operandOf(Value value) {
  TensorType type = tensorType(value);
  // Nothing of an empty view is read, and its offset may lie outside of the storage.
  bool isEmpty = layout::numel(type.getSizes()).isConstant(0);
  return {storageOf(viewRoot(value)),
          exprs_.add(isEmpty ? 0 : type.getOffset() * type.getElementBytes())};
}

//===----------------------------------------------------------------------===//
// The schedule
//===----------------------------------------------------------------------===//

/// A place in the arena, unless the value lives in a result's memory.
void Builder::addArenaStorage(Value value, Attribute slot) {
  auto place = dyn_cast_or_null<rt::ExprAttr>(slot);
  if (!place || storageIds_.contains(value))
    return;
  uint32_t id = addStorage(format::StorageKind::Arena, 0);
  TensorType type = tensorType(value);
  Expr bytes = 1;
  for (auto [size, stride] : llvm::zip_equal(type.getSizes(), type.getStrides()))
    bytes += layout::max(size - 1, 0) * stride;
  built_.manifest.storages[id].offset = exprs_.add(place.getValue());
  built_.manifest.storages[id].bytes = exprs_.add(bytes * type.getElementBytes());
  storageIds_[value] = id;
}

format::Launch Builder::describeLaunch(rt::LaunchOp op,
                                       llvm::ArrayRef<CompiledKernel> kernels,
                                       size_t firstKernel) {
  format::Launch launch;
  auto kernel = llvm::find_if(
      kernels, [&](const CompiledKernel &k) { return k.name == op.getKernel(); });
  launch.kernel = firstKernel + (kernel - kernels.begin());
  NodeLocation last = describe(op.getLoc());
  launch.name = joinNodes(op.getLoc());
  launch.source = last.source;
  for (Value operand : op.getInputs())
    launch.operands.push_back(operandOf(operand));
  for (Value result : op.getResults())
    launch.operands.push_back(operandOf(result));
  for (Value target : op.getTargets())
    launch.operands.push_back(operandOf(target));
  std::map<std::string, Expr> values;
  for (auto [i, value] : llvm::enumerate(op.getValues().getAsRange<rt::ExprAttr>())) {
    values["k" + std::to_string(i)] = value.getValue();
    launch.values.push_back(exprs_.add(value.getValue()));
  }
  launch.grid = exprs_.add(kernel->grid.substitute(values));
  launch.scratch_bytes = exprs_.add(kernel->scratchBytes.substitute(values));
  auto fused = dyn_cast<FusedLoc>(op.getLoc());
  for (const KernelSite &site : kernel->sites) {
    // A launch of a single op has that op's location, unfused.
    Location loc = fused && site.op < fused.getLocations().size()
                       ? fused.getLocations()[site.op]
                       : op.getLoc();
    NodeLocation location = describe(loc);
    launch.errors.push_back({site.message, location.node, location.source});
  }
  return launch;
}

void Builder::addLaunch(rt::LaunchOp op) {
  for (auto [result, slot] : llvm::zip_equal(op.getResults(), op.getSlotsAttr()))
    addArenaStorage(result, slot);
  built_.manifest.steps.push_back(
      {format::Step::Kind::Launch,
       static_cast<uint32_t>(built_.manifest.schedule.size()),
       0,
       0,
       0,
       {}});
  built_.manifest.schedule.push_back(describeLaunch(op, kernels_, 0));
}

/// Launches that run when the module is loaded: each of their results is a constant.
void Builder::addInit() {
  auto function = *ModuleOp(external_->init).getOps<func::FuncOp>().begin();
  for (auto launch : function.front().getOps<rt::LaunchOp>()) {
    for (Value result : launch.getResults()) {
      Expr last = 0;
      for (auto [size, stride] : llvm::zip_equal(tensorType(result).getSizes(),
                                                 tensorType(result).getStrides()))
        last += layout::max(size - 1, 0) * stride;
      uint64_t bytes = *(last + 1).constant() * tensorType(result).getElementBytes();
      uint32_t constant = addConstant(joinNodes(launch.getLoc()), bytes, {});
      built_.manifest.constants[constant].kind = format::Constant::Kind::Computed;
      storageIds_[result] = addStorage(format::StorageKind::Constant, constant);
    }
    built_.manifest.init.push_back(
        describeLaunch(launch, external_->initKernels, kernels_.size()));
  }
  ValueRange results = function.front().getTerminator()->getOperands();
  for (auto [result, number] : llvm::zip_equal(results, external_->initStorages))
    storageConstants_[number] =
        built_.manifest.storages[storageOf(viewRoot(result))].index;
}

/// All that the caller must bring, used or not: the names of the model's state.
void Builder::addWeights() {
  for (const ExternalWeights::Weight &weight : external_->weights) {
    format::Weight entry;
    entry.name = weight.name;
    entry.tensor.dtype = weight.dtype;
    for (int64_t size : weight.sizes)
      entry.tensor.sizes.push_back(exprs_.add(Expr(size)));
    for (int64_t stride : weight.strides)
      entry.tensor.strides.push_back(exprs_.add(Expr(stride)));
    entry.byte_offset = weight.offset * core::elementBytes(weight.dtype);
    entry.constant = constantOf(weight.storage, weight.name);
    built_.manifest.weights.push_back(std::move(entry));
  }
}

void Builder::addLoop(rt::LoopOp op) {
  std::vector<format::Step> &steps = built_.manifest.steps;
  size_t position = steps.size();
  format::Step step;
  step.kind = format::Step::Kind::Loop;
  step.index = exprs_.declareLoop(op.getRound().str());
  step.trips = exprs_.add(op.getTrips().getValue());
  if (op.getCondition())
    step.condition.push_back(operandOf(op.getCondition()));
  steps.push_back(std::move(step));
  addSteps(op.getBlock());
  steps[position].body = steps.size() - position - 1;
}

void Builder::addBranch(rt::IfOp op) {
  std::vector<format::Step> &steps = built_.manifest.steps;
  size_t position = steps.size();
  format::Step step;
  step.kind = format::Step::Kind::Branch;
  step.condition.push_back(operandOf(op.getCondition()));
  steps.push_back(std::move(step));
  addSteps(op.getThen().front());
  steps[position].body = steps.size() - position - 1;
  addSteps(op.getOtherwise().front());
  steps[position].otherwise = steps.size() - position - 1 - steps[position].body;
}

void Builder::addSteps(Block &block) {
  for (Operation &op : block) {
    if (auto launch = dyn_cast<rt::LaunchOp>(op))
      addLaunch(launch);
    else if (auto buffer = dyn_cast<rt::BufferOp>(op))
      addArenaStorage(buffer.getResult(), buffer.getSlotAttr());
    else if (auto loop = dyn_cast<rt::LoopOp>(op))
      addLoop(loop);
    else if (auto branch = dyn_cast<rt::IfOp>(op))
      addBranch(branch);
  }
}

void Builder::addSchedule() {
  for (const CompiledKernel &kernel : kernels_)
    built_.manifest.kernels.push_back({kernel.name, kernel.symbol});
  if (external_)
    for (const CompiledKernel &kernel : external_->initKernels)
      built_.manifest.kernels.push_back({kernel.name, kernel.symbol});
  addSteps(function_.front());
  Expr arena;
  if (auto attr = function_->getAttrOfType<rt::ExprAttr>(schedule::kArenaAttr))
    arena = attr.getValue();
  built_.manifest.arena_bytes = exprs_.add(arena);
}

llvm::Expected<BuiltModule> Builder::run(StringRef modelName,
                                         const codegen::Target &target) {
  format::Manifest &manifest = built_.manifest;
  manifest.model = modelName.str();
  manifest.producer = "rtorch " RTORCH_VERSION;
  manifest.triple = target.triple;
  manifest.cpu = target.cpu;
  manifest.features = target.features;
  exprs_.add(Expr(0));
  if (llvm::Error error = addSymbols())
    return error;
  addArguments();
  addChecks();
  if (external_ && external_->init)
    addInit();
  addResults();
  addSchedule();
  if (external_)
    addWeights();
  format::layOutConstants(manifest);
  return std::move(built_);
}

} // namespace

llvm::Expected<BuiltModule> buildModule(ModuleOp module, StringRef modelName,
                                        const codegen::Target &target,
                                        const std::vector<CompiledKernel> &kernels,
                                        const StorageBytes &storages,
                                        const ExternalWeights *external) {
  return Builder(module, kernels, storages, external).run(modelName, target);
}

std::span<const std::byte> constantBytes(const ConstantSource &source,
                                         const StorageBytes &storages,
                                         std::vector<std::byte> &buffer) {
  std::span<const std::byte> bytes = storages(source.storage);
  if (!source.packed)
    return bytes;
  gemm::PackedLayout layout{source.columns};
  buffer.resize(*layout.elements(source.k, source.n).constant() * source.elementBytes);
  gemm::packWeight(layout, source.elementBytes,
                   bytes.data() + source.offset * source.elementBytes, source.k,
                   source.n, source.rowStride, source.columnStride, buffer.data());
  return buffer;
}

} // namespace rtorch::emit
