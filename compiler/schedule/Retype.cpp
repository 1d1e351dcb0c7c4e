#include "compiler/schedule/Retype.h"

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

class LayoutChange {
public:
  explicit LayoutChange(Operation *around) : guards_(rt::guardsAround(around)) {}

  void replace(Value value, Value replacement, TensorType old) {
    Value copy;
    auto copied = [&](OpOperand &use) {
      if (!copy) {
        OpBuilder builder(value.getContext());
        builder.setInsertionPointAfterValue(replacement);
        copy = rt::CloneOp::create(builder, replacement.getLoc(),
                                   withStrides(old, old.getStrides()), replacement);
        copies_.push_back(use.getOwner());
      }
      // A view with an offset is a view of the copy, which has none.
      use.set(copy);
      if (copy.getType() != old)
        followView(use);
    };
    for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
      if (use.getOwner() == replacement.getDefiningOp() && value != replacement)
        continue;
      if (observesLayout(use.getOwner()) && replacement.getType() != old)
        copied(use);
      else if (auto view = dyn_cast<rt::ViewOpInterface>(use.getOwner());
               view && replacement.getType() != old) {
        std::optional<layout::Layout> layout = viewOf(view, replacement);
        if (!layout) {
          copied(use);
          continue;
        }
        use.set(replacement);
        retype(view, *layout);
      } else {
        use.set(replacement);
      }
    }
  }

  SmallVector<Operation *> takeCopies() { return std::move(copies_); }

private:
  void followView(OpOperand &use) {
    if (auto view = dyn_cast<rt::ViewOpInterface>(use.getOwner()))
      if (std::optional<layout::Layout> layout = viewOf(view, use.get()))
        retype(view, *layout);
  }

  void retype(rt::ViewOpInterface view, const layout::Layout &layout) {
    Value result = view->getResult(0);
    TensorType old = tensorType(result);
    auto type = TensorType::get(old.getContext(), layout, old.getElementType());
    if (type == old)
      return;
    result.setType(type);
    replace(result, result, old);
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
  SmallVector<Operation *> copies_;
};

} // namespace

SmallVector<Operation *> replaceLayout(Value value, Value replacement) {
  Operation *around = replacement.getDefiningOp();
  if (!around)
    around = cast<BlockArgument>(replacement).getOwner()->getParentOp();
  LayoutChange change(around);
  change.replace(value, replacement, tensorType(value));
  return change.takeCopies();
}

SmallVector<Operation *> changeLayout(Value value, const Dims &strides) {
  TensorType old = tensorType(value);
  LayoutChange change(value.getDefiningOp());
  value.setType(withStrides(old, strides));
  change.replace(value, value, old);
  return change.takeCopies();
}

} // namespace rtorch::schedule
