// Views and copies that change nothing.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Patterns.h"

using namespace mlir;
using rtorch::layout::Guards;
using rtorch::layout::Layout;

namespace rtorch::rt {
namespace {

/// Replaces a view by the source, or a source's source, that has the same layout: on
/// one storage these are the same elements.
struct DropRoundTrip : OpInterfaceRewritePattern<ViewOpInterface> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(ViewOpInterface view,
                                PatternRewriter &rewriter) const override {
    Type type = view->getResult(0).getType();
    Value source = view.getViewSource();
    while (source.getType() != type) {
      auto next = source.getDefiningOp<ViewOpInterface>();
      if (!next)
        return rewriter.notifyMatchFailure(view, "no source has the result's layout");
      source = next.getViewSource();
    }
    rewriter.replaceOp(view, source);
    return success();
  }
};

/// Views an earlier tensor directly: `view(view(x))` is `view(x)` where that view
/// exists and has the same strides. Adding and dropping size-1 dims keeps the order of
/// elements, too.
struct MergeViews : OpRewritePattern<ViewOp> {
  MergeViews(MLIRContext *context, const Guards &guards)
      : OpRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(ViewOp op, PatternRewriter &rewriter) const override {
    Operation *inner = op.getSource().getDefiningOp();
    if (!isa_and_nonnull<ViewOp, UnsqueezeOp, SqueezeOp>(inner))
      return rewriter.notifyMatchFailure(op, "source is not a view in the same order");
    std::optional<Layout> direct =
        provenViewLayout(op, tensorType(inner->getOperand(0)).getLayout(), guards_);
    if (!direct || direct->strides != tensorType(op.getResult()).getStrides())
      return rewriter.notifyMatchFailure(op, "the direct view has other strides");
    rewriter.modifyOpInPlace(op, [&] { op->setOperand(0, inner->getOperand(0)); });
    return success();
  }

private:
  const Guards &guards_;
};

/// `permute(permute(x))` is one permute.
struct MergePermutes : OpRewritePattern<PermuteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PermuteOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getSource().getDefiningOp<PermuteOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "source is not a permute");
    SmallVector<int64_t> composed;
    for (int64_t dim : op.getPermutation())
      composed.push_back(inner.getPermutation()[dim]);
    rewriter.replaceOpWithNewOp<PermuteOp>(op, op.getType(), inner.getSource(),
                                           composed);
    return success();
  }
};

/// `expand(expand(x))` is one expand.
struct MergeExpands : OpRewritePattern<ExpandOp> {
  MergeExpands(MLIRContext *context, const Guards &guards)
      : OpRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(ExpandOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getSource().getDefiningOp<ExpandOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "source is not an expand");
    std::optional<Layout> direct =
        provenViewLayout(op, tensorType(inner.getSource()).getLayout(), guards_);
    if (!direct || direct->strides != tensorType(op.getResult()).getStrides())
      return rewriter.notifyMatchFailure(op, "the direct expand has other strides");
    rewriter.modifyOpInPlace(op, [&] { op->setOperand(0, inner.getSource()); });
    return success();
  }

private:
  const Guards &guards_;
};

/// Uses the source of a copy in place of the copy. Values are immutable, so that only
/// strides tell the two apart: every view of the copy must exist on the source, and a
/// copy that is returned or written keeps results from aliasing each other.
struct ForwardClone : OpRewritePattern<CloneOp> {
  ForwardClone(MLIRContext *context, const Guards &guards)
      : OpRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(CloneOp op, PatternRewriter &rewriter) const override {
    Value source = op.getSource();
    if (op.getType() == source.getType() && isOnlyUseOfNewTensor(source)) {
      rewriter.replaceOp(op, source);
      return success();
    }
    if (!canForward(op.getResult(), tensorType(source).getLayout()))
      return rewriter.notifyMatchFailure(op, "a user observes storage or strides");
    forward(op.getResult(), source, rewriter);
    rewriter.eraseOp(op);
    return success();
  }

private:
  /// The copy is all that the tensor was made for: it can be the result itself.
  static bool isOnlyUseOfNewTensor(Value source) {
    return source.hasOneUse() && aliasBase(source) == source && !isExternal(source);
  }

  bool canForward(Value copy, const Layout &layout) const {
    return llvm::all_of(copy.getUsers(), [&](Operation *user) {
      auto view = dyn_cast<ViewOpInterface>(user);
      if (!view)
        return isa<LayoutOpInterface, PackOp>(user);
      if (isa<AsStridedOp>(user))
        return false;
      std::optional<Layout> viewed = provenViewLayout(view, layout, guards_);
      if (!viewed)
        return false;
      viewed->sizes = tensorType(user->getResult(0)).getSizes();
      return canForward(user->getResult(0), *viewed);
    });
  }

  void forward(Value copy, Value source, PatternRewriter &rewriter) const {
    for (OpOperand &use : llvm::make_early_inc_range(copy.getUses())) {
      Operation *user = use.getOwner();
      auto view = dyn_cast<ViewOpInterface>(user);
      if (!view) {
        rewriter.modifyOpInPlace(user, [&] { use.set(source); });
        continue;
      }
      rewriter.setInsertionPoint(user);
      forward(user->getResult(0), replayView(rewriter, view, source, guards_),
              rewriter);
      rewriter.eraseOp(user);
    }
  }

  const Guards &guards_;
};

/// `clone(clone(x))` is `clone(x)`.
struct MergeClones : OpRewritePattern<CloneOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CloneOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getSource().getDefiningOp<CloneOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "source is not a clone");
    rewriter.modifyOpInPlace(op, [&] { op->setOperand(0, inner.getSource()); });
    return success();
  }
};

/// A reduction over dims of size 1 is a copy.
struct ReduceNothing : OpInterfaceRewritePattern<ReductionOpInterface> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(ReductionOpInterface op,
                                PatternRewriter &rewriter) const override {
    Value x = op->getOperand(0), result = op->getResult(0);
    TensorType type = tensorType(x);
    if (!llvm::all_of(op.getReducedDims(),
                      [&](int64_t dim) { return type.getSize(dim).isConstant(1); }))
      return rewriter.notifyMatchFailure(op, "something is reduced");
    if (op.keepsReducedDims()) {
      rewriter.replaceOpWithNewOp<CloneOp>(op, result.getType(), x);
      return success();
    }
    if (tensorType(result).withRowMajorLayout() != result.getType())
      return rewriter.notifyMatchFailure(op, "the result is not row-major");
    Value copy = CloneOp::create(rewriter, op->getLoc(), type.withRowMajorLayout(), x);
    rewriter.replaceOpWithNewOp<SqueezeOp>(op, result.getType(), copy,
                                           op.getReducedDims());
    return success();
  }
};

} // namespace

void populateSimplifyViewPatterns(RewritePatternSet &patterns, const Guards &guards) {
  MLIRContext *context = patterns.getContext();
  patterns.add<DropRoundTrip, MergePermutes, MergeClones, ReduceNothing>(context);
  patterns.add<MergeViews, MergeExpands, ForwardClone>(context, guards);
}

} // namespace rtorch::rt
