// Checks layouts, aliasing and writes at the borders between phases.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Passes.h"

using namespace mlir;
using rtorch::layout::Answer;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::layout::Guards;
using rtorch::layout::Layout;
using rtorch::layout::Relation;

namespace rtorch::rt {
#define GEN_PASS_DEF_VERIFYLAYOUTS
#include "dialects/rt/transforms/Passes.h.inc"
namespace {

/// The user's source line of `loc`, or its text.
std::string sourceLine(Location loc) {
  std::string text;
  if (auto line = loc->findInstanceOf<FileLineColLoc>())
    return (line.getFilename().getValue() + ":" + Twine(line.getLine())).str();
  llvm::raw_string_ostream(text) << loc;
  return text;
}

/// Adds where the strides of `value` come from, through the views that keep them.
void attachProducer(InFlightDiagnostic &diag, Value value, StringRef advice = "") {
  if (Operation *producer = value.getDefiningOp())
    diag.attachNote(producer->getLoc())
        << "strides " << printDims(tensorType(value).getStrides()) << " come from here"
        << advice;
  else
    diag.attachNote(value.getLoc())
        << "strides " << printDims(tensorType(value).getStrides())
        << " are those of an argument" << advice;
}

/// One walk over a function. Open questions are decided by `guards`.
class LayoutVerifier {
public:
  LayoutVerifier(Guards &guards, GraphForm form) : guards_(guards), form_(form) {}

  LogicalResult verify(Operation *op) {
    guards_.setReason((op->getName().getStringRef() + " of " + describe(op)).str());
    if (auto view = dyn_cast<ViewOpInterface>(op))
      return verifyView(view);
    if (auto write = dyn_cast<WriteOp>(op))
      return verifyWrite(write);
    auto compute = dyn_cast<LayoutOpInterface>(op);
    if (compute && form_ == GraphForm::Imported)
      return verifyEagerStrides(compute);
    return success();
  }

private:
  static std::string describe(Operation *op) {
    return op->getNumOperands() ? printDims(tensorType(op->getOperand(0)).getSizes())
                                : "nothing";
  }

  /// Equal strides on dims that may be larger than 1; nothing is addressed by the
  /// strides of a tensor without elements.
  bool sameStrides(const Dims &sizes, const Dims &expected, const Dims &actual) {
    for (const Expr &size : sizes)
      if (guards_.query(Relation::Eq, size, 0) == Answer::Proven)
        return true;
    for (size_t dim = 0; dim < sizes.size(); ++dim)
      if (guards_.query(Relation::Le, sizes[dim], 1) != Answer::Proven &&
          !guards_.equal(expected[dim], actual[dim]))
        return false;
    return true;
  }

  LogicalResult verifyView(ViewOpInterface view) {
    Value source = view.getViewSource();
    TensorType from = tensorType(source), to = tensorType(view->getResult(0));
    std::optional<Layout> expected = view.viewLayout(from.getLayout(), guards_);
    if (!expected) {
      InFlightDiagnostic diag = view->emitOpError() << "cannot view " << from << " as "
                                                    << to << " without a copy";
      attachProducer(diag, source, "; insert 'rt.clone' before the view");
      return diag;
    }
    if (expected->rank() != static_cast<size_t>(to.getRank()))
      return view->emitOpError()
             << "expects a result of rank " << expected->rank() << ", but got " << to;
    for (int64_t dim = 0; dim < to.getRank(); ++dim)
      if (!guards_.equal(expected->sizes[dim], to.getSize(dim)))
        return view->emitOpError()
               << "expects result sizes " << printDims(expected->sizes) << ", but got "
               << printDims(to.getSizes());
    if (sameStrides(to.getSizes(), expected->strides, to.getStrides()) &&
        guards_.equal(expected->offset, to.getOffset()))
      return success();
    InFlightDiagnostic diag =
        view->emitOpError() << "expects result strides " << printDims(expected->strides)
                            << " and offset " << expected->offset.str() << ", but got "
                            << printDims(to.getStrides()) << " and "
                            << to.getOffset().str();
    attachProducer(diag, source);
    return diag;
  }

  LogicalResult verifyEagerStrides(LayoutOpInterface op) {
    for (auto [i, expected] : llvm::enumerate(op.eagerStrides(guards_))) {
      TensorType result = tensorType(op->getResult(i));
      if (!sameStrides(result.getSizes(), expected, result.getStrides()))
        return op->emitOpError()
               << "expects result strides " << printDims(expected)
               << " as in eager PyTorch, but got " << printDims(result.getStrides());
      if (!guards_.equal(result.getOffset(), 0))
        return op->emitOpError()
               << "expects a new tensor without offset, but got offset "
               << result.getOffset().str();
    }
    return success();
  }

  LogicalResult verifyWrite(WriteOp write) {
    Value target = write.getTarget(), value = write.getValue();
    Layout into = tensorType(target).getLayout(), from = tensorType(value).getLayout();
    if (shareStorage(aliasBase(value), aliasBase(target)))
      if (sameAddresses(from, into, guards_))
        return success(); // a tensor written to itself, even where expanded
    bool isEmpty = layout::numel(into.sizes).isConstant(0);
    if (!isEmpty && layout::isExpanded(into, guards_)) {
      InFlightDiagnostic diag = write.emitOpError()
                                << "cannot write into " << target.getType()
                                << ": more than one element refers to the same place";
      attachProducer(diag, target, "; clone the tensor before writing");
      return diag;
    }
    if (shareStorage(aliasBase(value), aliasBase(target)))
      return verifyOverlap(write, from, into);
    return success();
  }

  /// Value and target are different views of one storage.
  LogicalResult verifyOverlap(WriteOp write, const Layout &from, const Layout &into) {
    Answer overlap = layout::mayOverlap(from, into, guards_);
    if (overlap == Answer::Refuted)
      return success();
    // Eager PyTorch finds an overlap of dense tensors only and leaves the others'
    // result open. In the imported form the value is read before it is written.
    bool detected = layout::isDense(from, guards_) && layout::isDense(into, guards_);
    if (form_ == GraphForm::Imported && (overlap != Answer::Proven || !detected))
      return success();
    InFlightDiagnostic diag = write.emitOpError()
                              << "writes " << write.getValue().getType() << " into "
                              << write.getTarget().getType()
                              << ", which overlaps it in the same storage";
    attachProducer(diag, write.getValue(), "; clone the value before writing it");
    return diag;
  }

  Guards &guards_;
  GraphForm form_;
};

/// Whether `op` reads elements of its operands, as opposed to making a view.
bool readsElements(Operation *op) { return !isa<ViewOpInterface, ReturnOp>(op); }

/// The operands of which `op` reads elements.
OperandRange operandsRead(Operation *op) {
  if (auto write = dyn_cast<WriteOp>(op))
    return write->getOperands().take_front(1);
  return op->getOperands();
}

LogicalResult verifyWriteTarget(WriteOp write) {
  Value base = aliasBase(write.getTarget());
  if (isExternal(base))
    return success();
  InFlightDiagnostic diag = write.emitOpError()
                            << "expects an argument, a parameter or a view of one as "
                               "'target' in the value form";
  diag.attachNote(base.getLoc()) << "the target's storage comes from here";
  return diag;
}

/// Writes come last: nothing after one reads its storage or computes.
LogicalResult verifyWritesAreLast(Block &block, Guards &guards) {
  SmallVector<WriteOp> writes;
  for (Operation &op : block) {
    for (WriteOp earlier : writes) {
      Value base = aliasBase(earlier.getTarget());
      auto readsIt = [&](Value value) { return shareStorage(aliasBase(value), base); };
      if (readsElements(&op) && llvm::any_of(operandsRead(&op), readsIt)) {
        InFlightDiagnostic diag = op.emitOpError()
                                  << "reads a storage after a write to it";
        diag.attachNote(earlier->getLoc()) << "the write is here";
        return diag;
      }
    }
    auto write = dyn_cast<WriteOp>(&op);
    if (!writes.empty() && !write && readsElements(&op) && !isa<ParameterOp>(op)) {
      InFlightDiagnostic diag =
          op.emitOpError() << "stands after a write; writes are the last ops of the "
                              "value form";
      diag.attachNote(writes.front()->getLoc()) << "the first write is here";
      return diag;
    }
    if (!write)
      continue;
    if (failed(verifyWriteTarget(write)))
      return failure();
    for (WriteOp earlier : writes) {
      Value a = earlier.getTarget(), b = write.getTarget();
      if (!shareStorage(aliasBase(a), aliasBase(b)) ||
          layout::mayOverlap(tensorType(a).getLayout(), tensorType(b).getLayout(),
                             guards) == Answer::Refuted)
        continue;
      InFlightDiagnostic diag = write.emitOpError()
                                << "writes elements that an earlier write may have "
                                   "written";
      diag.attachNote(earlier->getLoc()) << "the earlier write is here";
      return diag;
    }
    writes.push_back(write);
  }
  return success();
}

struct VerifyLayoutsPass : impl::VerifyLayoutsBase<VerifyLayoutsPass> {
  using VerifyLayoutsBase::VerifyLayoutsBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    WalkResult result = function.walk([&](Operation *op) {
      if (op == function.getOperation())
        return WalkResult::advance();
      // One Guards an op: the source line of a guard is the line that needs it.
      Guards guards = guardsOf(function);
      if (failed(LayoutVerifier(guards, form).verify(op)))
        return WalkResult::interrupt();
      addGuards(function, guards, sourceLine(op->getLoc()));
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    if (form != GraphForm::Value)
      return;
    Guards guards = guardsOf(function);
    for (Block &block : function.getBody())
      if (failed(verifyWritesAreLast(block, guards)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace rtorch::rt
