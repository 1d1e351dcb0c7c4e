#include "compiler/fold/FoldConstants.h"

#include "compiler/fold/RunLaunches.h"
#include "compiler/schedule/Passes.h"
#include "compiler/schedule/ViewChain.h"
#include "dialects/rt/transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using rtorch::rt::tensorType;
using rtorch::schedule::viewRoot;

namespace rtorch::fold {

std::pair<int64_t, std::span<std::byte>> FoldedStorages::add(size_t bytes) {
  storages_.emplace_back(bytes);
  return {firstNumber_ + static_cast<int64_t>(storages_.size()) - 1, storages_.back()};
}

std::span<const std::byte> FoldedStorages::bytes(int64_t number) const {
  int64_t index = number - firstNumber_;
  if (index < 0 || index >= static_cast<int64_t>(storages_.size()))
    return {};
  return storages_[index];
}

size_t FoldedStorages::totalBytes() const {
  size_t total = 0;
  for (const auto &storage : storages_)
    total += storage.size();
  return total;
}

namespace {

/// A folded value may be so many times as large as the parameters that it is made of.
constexpr int64_t kGrowth = 4;

bool isStatic(rt::TensorType type) {
  auto isNumber = [](rt::ExprAttr attr) { return attr.getValue().isConstant(); };
  return llvm::all_of(type.getSizeAttrs(), isNumber) &&
         llvm::all_of(type.getStrideAttrs(), isNumber) && type.getOffset().isConstant();
}

/// Whether a number that the op is given, such as a start, is known at run time only.
bool hasSymbols(Operation &op) {
  return op.getAttrDictionary()
      .walk([](rt::ExprAttr attr) {
        return attr.getValue().isConstant() ? WalkResult::advance()
                                            : WalkResult::interrupt();
      })
      .wasInterrupted();
}

/// What the function computes from parameters alone.
class ConstantPart {
public:
  explicit ConstantPart(Block &block);

  /// Values to be replaced: results of constant ops that other ops use.
  ArrayRef<Value> roots() const { return roots_; }

private:
  bool isConstant(Operation &op) const;
  bool isUsedElsewhere(Value value) const;
  bool isWorthIt(Operation *op) const;

  llvm::DenseSet<Operation *> constant_;
  /// Bytes of the parameters behind an op; 0 for those made from nothing.
  llvm::DenseMap<Operation *, int64_t> parameterBytes_;
  SmallVector<Value> roots_;
};

bool ConstantPart::isConstant(Operation &op) const {
  if (auto parameter = dyn_cast<rt::ParameterOp>(op))
    return !parameter.getMutated() && isStatic(tensorType(parameter.getResult()));
  if (!isa<rt::LayoutOpInterface, rt::ViewOpInterface>(op) || op.getNumRegions() ||
      op.getNumResults() == 0 || !isMemoryEffectFree(&op) || hasSymbols(op))
    return false;
  return llvm::all_of(op.getResults(),
                      [](Value result) { return isStatic(tensorType(result)); }) &&
         llvm::all_of(op.getOperands(), [&](Value operand) {
           return operand.getDefiningOp() &&
                  constant_.contains(operand.getDefiningOp());
         });
}

int64_t bytesOf(Value value) {
  rt::TensorType type = tensorType(value);
  return layout::numel(type.getSizes()).constant().value_or(0) * type.getElementBytes();
}

bool ConstantPart::isUsedElsewhere(Value value) const {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    if (!constant_.contains(user))
      return true;
    return isa<rt::ViewOpInterface>(user) && isUsedElsewhere(user->getResult(0));
  });
}

bool ConstantPart::isWorthIt(Operation *op) const {
  int64_t made = 0, from = parameterBytes_.lookup(op);
  for (Value result : op->getResults())
    made += bytesOf(result);
  return from > 0 && made > 0 && made <= kGrowth * from + 4096;
}

ConstantPart::ConstantPart(Block &block) {
  for (Operation &op : block) {
    if (!isConstant(op))
      continue;
    constant_.insert(&op);
    int64_t &bytes = parameterBytes_[&op];
    if (isa<rt::ParameterOp>(op))
      bytes = bytesOf(op.getResult(0));
    int64_t sum = bytes;
    for (Value operand : op.getOperands())
      sum += parameterBytes_.lookup(operand.getDefiningOp());
    parameterBytes_[&op] = sum;
  }
  for (Operation &op : block)
    if (constant_.contains(&op) && !isa<rt::ParameterOp, rt::ViewOpInterface>(op) &&
        isWorthIt(&op))
      for (Value result : op.getResults())
        if (isUsedElsewhere(result))
          roots_.push_back(result);
}

/// A module with a function that computes `roots` and has no arguments.
OwningOpRef<ModuleOp> extract(ModuleOp module, Block &block, ArrayRef<Value> roots) {
  SetVector<Operation *> needed;
  SmallVector<Value> worklist(roots);
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (needed.insert(op))
      worklist.append(op->operand_begin(), op->operand_end());
  }
  OpBuilder builder(module.getContext());
  OwningOpRef<ModuleOp> result = ModuleOp::create(module.getLoc());
  builder.setInsertionPointToEnd(result->getBody());
  SmallVector<Type> types;
  for (Value root : roots)
    types.push_back(root.getType());
  auto function = func::FuncOp::create(builder, module.getLoc(), "constants",
                                       builder.getFunctionType({}, types));
  function->setAttr(rt::kSymbolsAttr, builder.getArrayAttr({}));
  builder.setInsertionPointToStart(function.addEntryBlock());
  IRMapping mapping;
  for (Operation &op : block)
    if (needed.contains(&op))
      builder.clone(op, mapping);
  SmallVector<Value> results;
  for (Value root : roots)
    results.push_back(mapping.lookup(root));
  rt::ReturnOp::create(builder, module.getLoc(), results);
  return result;
}

/// The name of the first parameter that `value` is made of.
std::string nameOf(Value value) {
  SmallVector<Value> worklist{value};
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (auto parameter = dyn_cast<rt::ParameterOp>(op))
      return parameter.getName().str();
    for (Value operand : llvm::reverse(op->getOperands()))
      worklist.push_back(operand);
  }
  return "constant";
}

/// A parameter in the place of `root`. What the program returns must be memory of its
/// own, so it becomes a copy.
void replace(Value root, rt::TensorType type, int64_t storage) {
  OpBuilder builder(root.getContext());
  builder.setInsertionPointAfterValue(root);
  Value parameter = rt::ParameterOp::create(builder, root.getLoc(), type,
                                            builder.getStringAttr(nameOf(root)),
                                            storage, /*mutated=*/false);
  auto isReturned = [](OpOperand &use) { return isa<rt::ReturnOp>(use.getOwner()); };
  if (llvm::any_of(root.getUses(), isReturned)) {
    Value copy = rt::CloneOp::create(builder, root.getLoc(), type, parameter);
    root.replaceUsesWithIf(copy, isReturned);
  }
  root.replaceAllUsesWith(parameter);
}

/// Whether a view of `value` is a result of the program.
bool isReturnedAsView(Value value) {
  return llvm::any_of(value.getUsers(), [](Operation *user) {
    auto view = dyn_cast<rt::ViewOpInterface>(user);
    return view && (llvm::any_of(view->getUsers(), llvm::IsaPred<rt::ReturnOp>) ||
                    isReturnedAsView(view->getResult(0)));
  });
}

/// The values to be replaced, and kernels that compute them.
struct ConstantProgram {
  SmallVector<Value> roots; // none: there is nothing to do
  OwningOpRef<ModuleOp> module;
};

llvm::Expected<ConstantProgram> findConstants(ModuleOp module, Block &block) {
  ConstantPart part(block);
  ConstantProgram program;
  for (Value root : part.roots())
    if (!isReturnedAsView(root))
      program.roots.push_back(root);
  if (program.roots.empty())
    return program;
  program.module = extract(module, block, program.roots);
  PassManager pm(module.getContext());
  pm.addPass(schedule::createPrepareResults());
  pm.addNestedPass<func::FuncOp>(rt::createCse());
  pm.addPass(schedule::createFormKernels());
  if (failed(pm.run(*program.module)))
    return llvm::createStringError("constants cannot be folded");
  return program;
}

void eraseUnused(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (op.use_empty() && (isMemoryEffectFree(&op) || isa<rt::ParameterOp>(op)) &&
        !op.hasTrait<OpTrait::IsTerminator>())
      op.erase();
}

} // namespace

llvm::Error foldConstants(ModuleOp module, const emit::StorageBytes &storages,
                          unsigned threads, FoldedStorages &folded) {
  auto function = *module.getOps<func::FuncOp>().begin();
  Block &block = function.getBody().front();
  auto program = findConstants(module, block);
  if (!program)
    return program.takeError();
  if (program->roots.empty())
    return llvm::Error::success();
  auto computed = runLaunches(*program->module, storages, threads);
  if (!computed)
    return computed.takeError();
  if (computed->empty())
    return llvm::Error::success();
  for (auto [root, result] : llvm::zip_equal(program->roots, *computed)) {
    auto [number, memory] = folded.add(result.bytes.size());
    llvm::copy(result.bytes, memory.begin());
    replace(root, result.type, number);
  }
  eraseUnused(block);
  return llvm::Error::success();
}

llvm::Expected<DeferredConstants> deferConstants(ModuleOp module, int64_t firstNumber) {
  auto function = *module.getOps<func::FuncOp>().begin();
  Block &block = function.getBody().front();
  auto program = findConstants(module, block);
  if (!program)
    return program.takeError();
  DeferredConstants deferred;
  if (program->roots.empty())
    return deferred;
  deferred.module = std::move(program->module);
  auto constants = *deferred.module->getOps<func::FuncOp>().begin();
  ValueRange results = constants.front().getTerminator()->getOperands();
  for (auto [root, result] : llvm::zip_equal(program->roots, results)) {
    int64_t number = firstNumber + static_cast<int64_t>(deferred.storages.size());
    deferred.storages.push_back(number);
    replace(root, tensorType(result), number);
  }
  eraseUnused(block);
  return deferred;
}

} // namespace rtorch::fold
