// Imported form to value form: versions of storages instead of writes.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Passes.h"

using namespace mlir;
using rtorch::layout::Answer;
using rtorch::layout::Expr;
using rtorch::layout::Guards;
using rtorch::layout::Layout;
using rtorch::layout::Relation;

namespace rtorch::rt {
#define GEN_PASS_DEF_FUNCTIONALIZE
#include "dialects/rt/transforms/Passes.h.inc"
namespace {

/// A storage that the function writes to.
struct Storage {
  /// The tensor whose contents the versions are. For a flat storage a rank-1 view of
  /// all that the function touches of it, from its first element on.
  Value root;
  Value version;
  bool flat = false;
  bool external = false;
  bool written = false;
  /// Aliases on the current version, by the alias of the imported form.
  DenseMap<Value, Value> replayed;
};

/// The views from the storage's base to `value`, first one first.
SmallVector<ViewOpInterface> viewChain(Value value) {
  SmallVector<ViewOpInterface> chain;
  while (auto view = value.getDefiningOp<ViewOpInterface>()) {
    chain.push_back(view);
    value = view.getViewSource();
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

/// Whether the view has each element of its source once.
bool isBijective(ViewOpInterface view) {
  return isa<PermuteOp, ViewOp, UnsqueezeOp, SqueezeOp>(view) ||
         (!isa<AsStridedOp>(view) &&
          view->getResult(0).getType() == view.getViewSource().getType());
}

/// One block: a function's, or a body in it.
class Functionalizer {
public:
  Functionalizer(Block &block, const Guards &guards)
      : block_(block), guards_(guards), builder_(block.getParentOp()->getContext()) {}

  LogicalResult run() {
    if (failed(findStorages()))
      return failure();
    for (Operation &op : llvm::make_early_inc_range(block_)) {
      builder_.setInsertionPoint(&op);
      if (auto write = dyn_cast<WriteOp>(&op)) {
        applyWrite(write); // which erases it
        continue;
      }
      if (auto returned = dyn_cast<ReturnOp>(&op))
        finish(returned);
      else if (!isa<ViewOpInterface>(&op))
        for (OpOperand &operand : op.getOpOperands())
          operand.set(current(operand.get()));
      if (failed(runInside(op)))
        return failure();
    }
    return success();
  }

private:
  //===--------------------------------------------------------------------===//
  // Loops and branches
  //===--------------------------------------------------------------------===//

  /// The bodies of `op`: what they read of this block is as it is now.
  LogicalResult runInside(Operation &op) {
    if (op.getNumRegions() == 0)
      return success();
    useCurrent(op);
    for (Region &region : op.getRegions())
      for (Block &block : region)
        if (failed(Functionalizer(block, guards_).run()))
          return failure();
    return success();
  }

  void useCurrent(Operation &op) {
    SmallVector<Operation *> inside;
    op.walk<WalkOrder::PreOrder>([&](Operation *inner) {
      if (inner != &op)
        inside.push_back(inner);
    });
    DenseSet<Value> moved; // by other strides of their storage's version
    for (Operation *inner : inside) {
      for (OpOperand &operand : inner->getOpOperands()) {
        Value value = operand.get();
        if (value.getParentBlock() != &block_ || isWriteTarget(operand))
          continue;
        operand.set(current(value));
        if (operand.get().getType() != value.getType())
          moved.insert(operand.get());
      }
      auto view = dyn_cast<ViewOpInterface>(inner);
      if (!view || !moved.contains(view.getViewSource()))
        continue;
      OpBuilder builder(inner);
      Value again = replayView(builder, view, view.getViewSource(), guards_);
      inner->getResult(0).replaceAllUsesWith(again);
      inner->erase();
      moved.insert(again);
    }
  }

  static bool isWriteTarget(OpOperand &operand) {
    auto write = dyn_cast<WriteOp>(operand.getOwner());
    return write && &write.getTargetMutable() == &operand;
  }

  //===--------------------------------------------------------------------===//
  // Storages
  //===--------------------------------------------------------------------===//

  /// Finds the storages that are written, and which of them need a flat root: those
  /// seen through as_strided, and parameters of different layouts over one storage.
  LogicalResult findStorages() {
    for (auto write : block_.getOps<WriteOp>()) {
      Value base = aliasBase(write.getTarget());
      if (storageOf(base))
        continue;
      if (base.getParentBlock() != &block_)
        return write.emitOpError() << "cannot write from inside of a loop or branch to "
                                      "memory outside of it";
      SmallVector<Value> bases = basesSharing(base);
      storages_.push_back(std::make_unique<Storage>());
      Storage &storage = *storages_.back();
      storage.root = storage.version = bases.front();
      storage.external = isExternal(base);
      for (Value shared : bases)
        byBase_[shared] = &storage;
      if (needsFlatRoot(bases) && failed(flatten(storage, bases)))
        return failure();
    }
    return success();
  }

  Storage *storageOf(Value base) const { return byBase_.lookup(base); }

  SmallVector<Value> basesSharing(Value base) {
    if (!base.getDefiningOp<ParameterOp>())
      return {base};
    SmallVector<Value> bases;
    for (auto parameter : block_.getOps<ParameterOp>())
      if (shareStorage(parameter.getResult(), base))
        bases.push_back(parameter.getResult());
    return bases;
  }

  /// All values of the function that alias one of `bases`.
  SmallVector<Value> aliasesOf(ArrayRef<Value> bases) {
    SmallVector<Value> aliases(bases);
    for (size_t i = 0; i < aliases.size(); ++i)
      for (Operation *user : Value(aliases[i]).getUsers())
        if (isa<ViewOpInterface>(user) && user->getOperand(0) == aliases[i])
          aliases.push_back(user->getResult(0));
    return aliases;
  }

  bool needsFlatRoot(ArrayRef<Value> bases) {
    for (Value base : bases)
      if (base.getType() != bases.front().getType())
        return true;
    return llvm::any_of(aliasesOf(bases),
                        [](Value alias) { return alias.getDefiningOp<AsStridedOp>(); });
  }

  /// Makes the root a rank-1 view of the storage up to the last element touched.
  LogicalResult flatten(Storage &storage, ArrayRef<Value> bases) {
    TensorType type = tensorType(bases.front());
    Expr count = 0;
    for (Value alias : aliasesOf(bases)) {
      if (tensorType(alias).getElementType() != type.getElementType())
        return emitError(alias.getLoc()) << "expects one dtype for all views of a "
                                            "storage that is written, but got "
                                         << type.getElementType() << " and "
                                         << tensorType(alias).getElementType();
      auto range = layout::touchedRange(tensorType(alias).getLayout(), guards_);
      if (range)
        count = largerOf(count, range->second + 1);
    }
    if (failed(checkReach(bases, count)))
      return failure();
    // After the last base, so that it is there for every use of the others.
    Operation *last = nullptr;
    for (Value base : bases)
      if (Operation *op = base.getDefiningOp();
          op && (!last || last->isBeforeInBlock(op)))
        last = op;
    last ? builder_.setInsertionPointAfter(last)
         : builder_.setInsertionPointToStart(&block_);
    storage.flat = true;
    storage.root = AsStridedOp::create(
        builder_, bases.front().getLoc(),
        TensorType::get(type.getContext(), layout::Dims{count}, type.getElementType()),
        bases.front());
    storage.version = storage.root;
    return success();
  }

  Expr largerOf(const Expr &a, const Expr &b) {
    if (guards_.query(Relation::Le, a, b) == Answer::Proven)
      return b;
    return guards_.query(Relation::Le, b, a) == Answer::Proven ? a : layout::max(a, b);
  }

  /// as_strided must stay within what the base itself covers: nothing else is known to
  /// belong to the storage. The archive says how large a parameter's storage is, and
  /// the importer has checked it.
  LogicalResult checkReach(ArrayRef<Value> bases, const Expr &count) {
    Value base = bases.front();
    if (base.getDefiningOp<ParameterOp>())
      return success();
    auto range = layout::touchedRange(tensorType(base).getLayout(), guards_);
    Expr covered = range ? range->second + 1 : Expr(0);
    if (guards_.query(Relation::Le, count, covered) == Answer::Proven)
      return success();
    InFlightDiagnostic diag = emitError(base.getLoc())
                              << "views reach element " << (count - 1).str()
                              << " of a storage that is written, but its tensor "
                              << base.getType() << " ends after " << covered.str();
    for (Value alias : aliasesOf(bases))
      if (auto view = alias.getDefiningOp<AsStridedOp>())
        diag.attachNote(view.getLoc()) << "viewed here";
    return diag;
  }

  //===--------------------------------------------------------------------===//
  // Versions
  //===--------------------------------------------------------------------===//

  /// `value` as it is now: itself, or its views on the storage's current version.
  Value current(Value value) {
    Storage *storage = storageOf(aliasBase(value));
    if (!storage || !storage->written)
      return value;
    if (Value known = storage->replayed.lookup(value))
      return known;
    Value result;
    if (storage->flat)
      result = AsStridedOp::create(builder_, value.getLoc(), value.getType(),
                                   storage->version);
    else if (auto view = value.getDefiningOp<ViewOpInterface>())
      result = replayView(builder_, view, current(view.getViewSource()), guards_);
    else
      result = storage->version;
    storage->replayed[value] = result;
    return result;
  }

  void applyWrite(WriteOp write) {
    Value target = write.getTarget(), value = current(write.getValue());
    Storage &storage = *storageOf(aliasBase(target));
    bool toItself = shareStorage(aliasBase(write.getValue()), aliasBase(target)) &&
                    write.getValue().getType() == target.getType();
    if (!toItself) {
      storage.version = nextVersion(storage, target, value);
      storage.written = true;
      storage.replayed.clear();
    }
    write.erase();
  }

  /// The storage's contents after `value` was written into its view `target`.
  Value nextVersion(Storage &storage, Value target, Value value) {
    Location loc = value.getLoc();
    if (storage.flat)
      return ScatterViewOp::create(builder_, loc, storage.root.getType(),
                                   storage.version, value,
                                   TypeAttr::get(target.getType()));
    SmallVector<ViewOpInterface> chain = viewChain(target);
    TensorType type = versionType(storage);
    if (!llvm::all_of(chain, isBijective))
      return ScatterViewOp::create(builder_, loc, type, storage.version, value,
                                   regionOf(chain, storage.root));
    for (ViewOpInterface view : llvm::reverse(chain))
      value = undoView(view, value);
    // A tensor of the program's own keeps its strides: results are views of it. What
    // is written back to an external storage may have any.
    if (!storage.external && value.getType() != type)
      value = CloneOp::create(builder_, loc, type, value);
    return value;
  }

  /// Dense, and in the order of the root, which views can rely on.
  TensorType versionType(Storage &storage) {
    TensorType root = tensorType(storage.root);
    if (!storage.external)
      return root;
    Layout layout = root.getLayout();
    layout.strides = layout::preserveStrides(layout, guards_);
    layout.offset = 0;
    return withLayout(root, layout);
  }

  /// The layout of the last view of `chain` within a row-major tensor of the root's
  /// sizes.
  TypeAttr regionOf(ArrayRef<ViewOpInterface> chain, Value root) {
    Layout layout = tensorType(root).withRowMajorLayout().getLayout();
    for (ViewOpInterface view : chain) {
      layout::Dims sizes = tensorType(view->getResult(0)).getSizes();
      std::optional<Layout> next = view.viewLayout(layout, guards_);
      assert(next && "every view but as_strided exists on a row-major tensor");
      layout = *next;
      layout.sizes = sizes;
    }
    return TypeAttr::get(withLayout(tensorType(root), layout));
  }

  /// The tensor whose bijective `view` is `value`.
  Value undoView(ViewOpInterface view, Value value) {
    Location loc = value.getLoc();
    if (view->getResult(0).getType() == view.getViewSource().getType())
      return value;
    if (auto permute = dyn_cast<PermuteOp>(view.getOperation())) {
      SmallVector<int64_t> inverse(permute.getPermutation().size());
      for (auto [i, dim] : llvm::enumerate(permute.getPermutation()))
        inverse[dim] = i;
      Layout layout = layout::permuteDims(tensorType(value).getLayout(), inverse);
      return PermuteOp::create(builder_, loc, withLayout(tensorType(value), layout),
                               value, inverse);
    }
    layout::Dims sizes = tensorType(view.getViewSource()).getSizes();
    Guards trial = guards_;
    auto viewed = layout::viewAs(tensorType(value).getLayout(), sizes, trial);
    if (!viewed || trial.recorded().size() != guards_.recorded().size()) {
      value = makeRowMajor(builder_, loc, value);
      viewed = Layout{sizes, layout::contiguousStrides(sizes), 0};
    }
    return ViewOp::create(builder_, loc, withLayout(tensorType(value), *viewed), value);
  }

  //===--------------------------------------------------------------------===//
  // The end
  //===--------------------------------------------------------------------===//

  void finish(ReturnOp returned) {
    numberResultStorages(returned);
    for (auto &storage : storages_)
      if (storage->external && storage->written)
        detachFinal(*storage);
    detachResults(returned);
    // Results first: what they read is read before the writes. Those that alias a
    // written argument or parameter stay as they are and are read after.
    for (OpOperand &operand : returned->getOpOperands()) {
      Storage *storage = storageOf(aliasBase(operand.get()));
      if (storage && !storage->external)
        operand.set(current(operand.get()));
    }
    for (auto &storage : storages_)
      if (storage->external && storage->written)
        writeBack(*storage);
  }

  /// Notes which results share memory: later passes merge equal values.
  void numberResultStorages(ReturnOp returned) {
    DenseMap<Value, int64_t> numbers;
    SmallVector<int64_t> storages;
    for (Value value : returned.getOperands()) {
      Value base = aliasBase(value);
      if (isExternal(base))
        storages.push_back(kExternalStorage);
      else
        storages.push_back(numbers.try_emplace(base, numbers.size()).first->second);
    }
    returned->getParentOp()->setAttr(kResultStorages,
                                     builder_.getDenseI64ArrayAttr(storages));
  }

  void writeBack(Storage &storage) {
    WriteOp::create(builder_, storage.root.getLoc(), storage.version, storage.root);
    for (auto [base, owner] : byBase_)
      if (auto parameter = base.getDefiningOp<ParameterOp>();
          parameter && owner == &storage)
        parameter.setMutated(true);
  }

  /// A value that is written back must not lie in a storage that is written too.
  void detachFinal(Storage &storage) {
    Storage *source = storageOf(aliasBase(storage.version));
    if (source && source->external && source->written)
      storage.version = CloneOp::create(
          builder_, storage.version.getLoc(),
          tensorType(storage.version).withRowMajorLayout(), storage.version);
  }

  /// Results with a storage of their own must not alias arguments, parameters, or each
  /// other, although their last versions may be the same value.
  void detachResults(ReturnOp returned) {
    DenseMap<Value, Storage *> owners;
    for (Value operand : returned.getOperands())
      if (!storageOf(aliasBase(operand)))
        owners[aliasBase(operand)] = nullptr;
    for (Value operand : returned.getOperands()) {
      Storage *storage = storageOf(aliasBase(operand));
      if (!storage || storage->external || !storage->written)
        continue;
      Value base = aliasBase(storage->version);
      auto [owner, isNew] = owners.try_emplace(base, storage);
      if (!isExternal(base) && (isNew || owner->second == storage))
        continue;
      storage->version = CloneOp::create(builder_, storage->version.getLoc(),
                                         storage->version.getType(), storage->version);
      storage->replayed.clear();
      owners[storage->version] = storage;
    }
  }

  Block &block_;
  Guards guards_;
  OpBuilder builder_;
  std::vector<std::unique_ptr<Storage>> storages_;
  DenseMap<Value, Storage *> byBase_;
};

struct FunctionalizePass : impl::FunctionalizeBase<FunctionalizePass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    if (failed(Functionalizer(function.getBody().front(), guardsOf(function)).run()))
      signalPassFailure();
  }
};

} // namespace
} // namespace rtorch::rt
