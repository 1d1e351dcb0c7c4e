// The pass that makes decomposed ops whole again.
#include "dialects/rt/transforms/Passes.h"
#include "dialects/rt/transforms/Patterns.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace rtorch::rt {
#define GEN_PASS_DEF_RAISE
#include "dialects/rt/transforms/Passes.h.inc"
namespace {

/// `x * sigmoid(x)` is `silu(x)`.
struct MulToSilu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    for (bool swapped : {false, true}) {
      Value x = swapped ? op.getB() : op.getA();
      auto sigmoid = (swapped ? op.getA() : op.getB()).getDefiningOp<SigmoidOp>();
      if (!sigmoid || sigmoid.getX() != x || !sigmoid->hasOneUse())
        continue;
      rewriter.replaceOpWithNewOp<SiluOp>(op, op.getType(), x);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "no operand is the sigmoid of the other");
  }
};

struct RaisePass : impl::RaiseBase<RaisePass> {
  void runOnOperation() override {
    layout::Guards guards = guardsOf(getOperation());
    RewritePatternSet patterns(&getContext());
    // The views that one pattern leaves between two ops would hide them from the next.
    populateSimplifyViewPatterns(patterns, guards);
    populateRaiseLinearPatterns(patterns, guards);
    populateRaiseAttentionPatterns(patterns, guards);
    populateFoldScalePatterns(patterns);
    populateJoinTermsPatterns(patterns);
    patterns.add<MulToSilu>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace rtorch::rt
