// The patterns of rt-simplify and rt-raise, by what they rewrite. `guards` is what is
// known of the function's symbols; it must outlive the patterns.
#pragma once

#include "dialects/rt/Rt.h"

#include "mlir/IR/PatternMatch.h"

namespace rtorch::rt {

/// Views and copies that change nothing.
void populateSimplifyViewPatterns(mlir::RewritePatternSet &patterns,
                                  const layout::Guards &guards);
/// Pointwise ops before the expansion of their operands.
void populateSinkExpandPatterns(mlir::RewritePatternSet &patterns,
                                const layout::Guards &guards);
/// Products with matrices of weights, to rt.linear.
void populateRaiseLinearPatterns(mlir::RewritePatternSet &patterns,
                                 const layout::Guards &guards);
/// Constants that scale or shift channels, into the layer before them.
void populateFoldScalePatterns(mlir::RewritePatternSet &patterns);
/// Sums of many small products, or of many small sums, to one product or sum.
void populateJoinTermsPatterns(mlir::RewritePatternSet &patterns);
/// Product, softmax, product, to rt.attention.
void populateRaiseAttentionPatterns(mlir::RewritePatternSet &patterns,
                                    const layout::Guards &guards);

/// The rt.full that `value` equals everywhere, seen through views and copies; null if
/// there is none.
FullOp uniformConstant(mlir::Value value);
/// Its number; nullopt for expressions over symbols.
std::optional<double> uniformNumber(mlir::Value value);

} // namespace rtorch::rt
