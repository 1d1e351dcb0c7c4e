// Common subexpression elimination that keeps the program's results apart.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Passes.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;

namespace rtorch::rt {
#define GEN_PASS_DEF_CSE
#include "dialects/rt/transforms/Passes.h.inc"
namespace {

/// Marks ops whose storage is returned, each with another number, so that none equals
/// another op while the marks are there.
constexpr llvm::StringLiteral kResultAttr = "rt.result";

struct CsePass : impl::CseBase<CsePass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    Builder builder(function.getContext());
    int64_t number = 0;
    function.walk([&](ReturnOp returned) {
      for (Value operand : returned.getOperands()) {
        Operation *owner = aliasBase(operand).getDefiningOp();
        if (owner && !isa<ParameterOp>(owner) && !owner->hasAttr(kResultAttr))
          owner->setAttr(kResultAttr, builder.getI64IntegerAttr(number++));
      }
    });
    IRRewriter rewriter(function.getContext());
    DominanceInfo dominance(function);
    eliminateCommonSubExpressions(rewriter, dominance, function);
    function.walk([&](Operation *op) { op->removeAttr(kResultAttr); });
  }
};

} // namespace
} // namespace rtorch::rt
