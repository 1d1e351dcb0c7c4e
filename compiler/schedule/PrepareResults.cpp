#include "compiler/schedule/Passes.h"
#include "compiler/schedule/ViewChain.h"
#include "dialects/rt/transforms/Aliases.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_PREPARERESULTS
#include "compiler/schedule/Passes.h.inc"
namespace {

/// A copy of `value` with the same strides and no offset.
Value cloneOf(OpBuilder &builder, Value value) {
  TensorType type = tensorType(value);
  layout::Layout layout = type.getLayout();
  layout.offset = 0;
  return rt::CloneOp::create(
      builder, value.getLoc(),
      TensorType::get(builder.getContext(), layout, type.getElementType()), value);
}

/// Gives every result memory: roots that a result covers live in that result's memory,
/// and other results of the same storage are views of it. Results that share a storage
/// which none of them covers are views of the arena. Everything else is copied.
class ResultMemory {
public:
  explicit ResultMemory(rt::ReturnOp op)
      : op_(op), builder_(op), guards_(rt::guardsAround(op)) {
    if (auto attr =
            op->getParentOp()->getAttrOfType<DenseI64ArrayAttr>(rt::kResultStorages))
      storages_ = attr.asArrayRef();
  }

  void assign() {
    llvm::DenseSet<std::pair<Value, int64_t>> seen;
    for (OpOperand &operand : op_->getOpOperands()) {
      std::pair place(viewRoot(operand.get()), storageOf(operand));
      if (!seen.insert(place).second || coversRoot(operand.get(), guards_))
        kept_.insert(place);
    }
    for (OpOperand &operand : op_->getOpOperands())
      operand.set(placed(operand));
    if (auto function = dyn_cast<FunctionOpInterface>(op_->getParentOp()))
      function.setType(builder_.getFunctionType(function.getArgumentTypes(),
                                                op_->getOperandTypes()));
  }

private:
  /// The number of the storage that eager's result lies in, as far as it is known;
  /// kExternalStorage for those of arguments and parameters.
  int64_t storageOf(OpOperand &operand) const {
    if (!storages_.empty())
      return storages_[operand.getOperandNumber()];
    return isExternal(viewRoot(operand.get())) ? rt::kExternalStorage : 0;
  }

  /// Copies read what arguments held before the writes at the end, where the value
  /// itself does.
  void insertFor(Value value) {
    Operation *made = value.getDefiningOp();
    for (auto write : op_->getBlock()->getOps<rt::WriteOp>())
      if (isExternal(viewRoot(write.getTarget())) &&
          (!made || made->isBeforeInBlock(write)))
        return builder_.setInsertionPoint(write);
    builder_.setInsertionPoint(op_);
  }

  Value placed(OpOperand &operand) {
    Value value = operand.get(), root = viewRoot(value);
    insertFor(value);
    const int64_t storage = storageOf(operand);
    if (isExternal(root))
      return storage == rt::kExternalStorage ? value : cloneOf(builder_, value);
    if (!kept_.contains({root, storage}))
      return cloneOf(builder_, value);
    // Equal values of different storages have been merged by now.
    const bool owns = owners_.try_emplace(root, storage).first->second == storage;
    if (owns && !root.getDefiningOp<rt::FullOp>())
      return value;
    Value &copy = copies_[{root, storage}];
    if (!copy)
      copy = cloneOf(builder_, root);
    return replayed(value, root, copy);
  }

  /// The views from `root` to `value`, on `copy`.
  Value replayed(Value value, Value root, Value copy) {
    if (value == root)
      return copy;
    auto view = value.getDefiningOp<rt::ViewOpInterface>();
    return rt::replayView(builder_, view, replayed(view.getViewSource(), root, copy),
                          guards_);
  }

  rt::ReturnOp op_;
  OpBuilder builder_;
  layout::Guards guards_;
  ArrayRef<int64_t> storages_;
  llvm::DenseSet<std::pair<Value, int64_t>> kept_; // roots that results are views of
  llvm::DenseMap<Value, int64_t> owners_;          // whose memory a root lives in
  llvm::DenseMap<std::pair<Value, int64_t>, Value> copies_;
};

struct PrepareResultsPass : impl::PrepareResultsBase<PrepareResultsPass> {
  void runOnOperation() override {
    getOperation().walk([](rt::ReturnOp op) { ResultMemory(op).assign(); });
  }
};

} // namespace
} // namespace rtorch::schedule
