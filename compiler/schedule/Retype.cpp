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
    Value copy;
    for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
      if (use.getOwner() == now.getDefiningOp() && value != now)
        continue;
      if (now.getType() == old) {
        use.set(now);
      } else if (observesLayout(use.getOwner())) {
        if (!inOldLayout_.contains(replacement_))
          copies_.push_back(use.getOwner());
        use.set(inOldLayout(now));
      } else if (auto view = dyn_cast<rt::ViewOpInterface>(use.getOwner()); !view) {
        use.set(now);
      } else if (std::optional<layout::Layout> layout = viewOf(view, now)) {
        use.set(now);
        retype(view, *layout);
      } else {
        copies_.push_back(view);
        if (!copy)
          copy = copied(now, old);
        use.set(copy);
        if (copy.getType() != old) // a view with an offset; its copy has none
          followView(view);
      }
    }
  }

  static Value copied(Value value, TensorType layout) {
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    return rt::CloneOp::create(builder, value.getLoc(),
                               withStrides(layout, layout.getStrides()), value);
  }

  /// `value` as others know it. The root is copied as a whole and once: results that
  /// are views of it go on sharing memory, with the offsets that they had.
  Value inOldLayout(Value value) {
    if (Value known = inOldLayout_.lookup(value))
      return known;
    Value result;
    if (value == replacement_) {
      result = copied(value, oldRoot_);
    } else if (auto copy =
                   value.getDefiningOp<rt::CloneOp>()) { // made for a view of it
      result = inOldLayout(copy.getSource());
    } else {
      auto view = value.getDefiningOp<rt::ViewOpInterface>();
      Value source = inOldLayout(view.getViewSource());
      OpBuilder builder(value.getContext());
      builder.setInsertionPointAfterValue(value);
      result = rt::replayView(builder, view, source, guards_);
    }
    return inOldLayout_[value] = result;
  }

  void followView(rt::ViewOpInterface view) {
    if (std::optional<layout::Layout> layout = viewOf(view, view.getViewSource()))
      retype(view, *layout);
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
