#include "compiler/schedule/Retype.h"

#include "dialects/rt/transforms/Aliases.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;

TensorType withStrides(TensorType type, const Dims &strides) {
  return TensorType::get(type.getContext(), layout::Layout{type.getSizes(), strides, 0},
                         type.getElementType());
}

Dims channelsLastStrides(const Dims &sizes) {
  Dims strides(sizes.size());
  Expr step = layout::max(sizes[1], 1);
  strides[1] = 1;
  for (size_t dim = sizes.size(); dim-- > 0;) {
    if (dim == 1)
      continue;
    strides[dim] = step;
    step *= layout::max(sizes[dim], 1);
  }
  return strides;
}

bool hasInnerChannels(TensorType type) {
  return type.getRank() >= 3 && !type.getSize(1).isConstant(1) &&
         type.getStrides()[1].isConstant(1);
}

namespace {

/// Ops whose operands have the types of results elsewhere: of the program, of a loop or
/// a branch.
bool observesLayout(Operation *op) {
  return op->hasTrait<OpTrait::IsTerminator>() || op->getNumRegions() > 0;
}

/// Puts a tensor of another layout in the place of `root`, and changes the views of it.
class LayoutChange {
public:
  LayoutChange(Operation *around, Value root, Value replacement)
      : guards_(rt::guardsAround(around)), root_(root), replacement_(replacement) {}

  void run(TensorType old) {
    oldRoot_ = old;
    replace(root_, old);
  }

  SmallVector<Operation *> takeCopies() { return std::move(copies_); }

private:
  /// Changes the uses of the root or of a view of it, which had the type `old`.
  void replace(Value value, TensorType old) {
    Value now = value == root_ ? replacement_ : value;
    for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
      Operation *user = use.getOwner();
      if (user == now.getDefiningOp() && value != now)
        continue;
      auto view = dyn_cast<rt::ViewOpInterface>(user);
      if (now.getType() == old || (!view && !observesLayout(user))) {
        use.set(now);
      } else if (std::optional<layout::Layout> layout =
                     view ? viewOf(view, now) : std::nullopt) {
        use.set(now);
        retype(view, *layout);
      } else {
        use.set(inOldLayout(now, user));
      }
    }
  }

  /// `value` as its program knows it, for `user`. The root is copied as a whole and
  /// once: views of it go on sharing memory, with the offsets that they had.
  Value inOldLayout(Value value, Operation *user) {
    if (Value known = inOldLayout_.lookup(value))
      return known;
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    Value result;
    if (value == replacement_) {
      copies_.push_back(user);
      result = rt::CloneOp::create(builder, value.getLoc(),
                                   withStrides(oldRoot_, oldRoot_.getStrides()), value);
    } else {
      auto view = value.getDefiningOp<rt::ViewOpInterface>();
      Value source = inOldLayout(view.getViewSource(), user);
      result = rt::replayView(builder, view, source, guards_);
    }
    return inOldLayout_[value] = result;
  }

  void retype(rt::ViewOpInterface view, const layout::Layout &layout) {
    Value result = view->getResult(0);
    TensorType old = tensorType(result);
    auto type = TensorType::get(old.getContext(), layout, old.getElementType());
    if (type == old)
      return;
    result.setType(type);
    replace(result, old);
  }

  /// The layout that the view has of a source of another layout; nullopt where it needs
  /// a copy, or a check at the door that was not made.
  std::optional<layout::Layout> viewOf(rt::ViewOpInterface view, Value source) {
    if (isa<rt::AsStridedOp>(view))
      return std::nullopt;
    layout::Layout layout = tensorType(source).getLayout();
    Dims sizes = tensorType(view->getResult(0)).getSizes();
    if (isa<rt::ViewOp>(view) &&
        layout::queryView(layout, sizes, guards_) != layout::Answer::Proven)
      return std::nullopt;
    layout::Guards trial = guards_;
    std::optional<layout::Layout> result = view.viewLayout(layout, trial);
    if (!result || trial.recorded().size() != guards_.recorded().size())
      return std::nullopt;
    // Sizes stay as they are written: other types name them.
    result->sizes = sizes;
    return result;
  }

  layout::Guards guards_;
  Value root_, replacement_;
  TensorType oldRoot_;
  llvm::DenseMap<Value, Value> inOldLayout_;
  SmallVector<Operation *> copies_;
};

} // namespace

SmallVector<Operation *> replaceLayout(Value value, Value replacement) {
  Operation *around = replacement.getDefiningOp();
  if (!around)
    around = cast<BlockArgument>(replacement).getOwner()->getParentOp();
  LayoutChange change(around, value, replacement);
  change.run(tensorType(value));
  return change.takeCopies();
}

SmallVector<Operation *> changeLayout(Value value, const Dims &strides) {
  TensorType old = tensorType(value);
  LayoutChange change(value.getDefiningOp(), value, value);
  value.setType(withStrides(old, strides));
  change.run(old);
  return change.takeCopies();
}

} // namespace rtorch::schedule
