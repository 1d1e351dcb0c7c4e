// Which scores a mask of attention hides, as far as the ops that make it tell.
#pragma once

#include "dialects/rt/Rt.h"

namespace rtorch::rt {

/// Masks take a score for -inf from here on: behind the softmax nothing is left of it.
inline constexpr double kHidingScore = -1e9;

/// Whether the bool `visible`, broadcast over [..., query, key], is true exactly where
/// key <= query.
bool isCausal(mlir::Value visible);
/// Whether it is true exactly where key > query.
bool isAnticausal(mlir::Value hidden);
/// Whether the added `mask` is 0 where key <= query and hides the rest.
bool isCausalSum(mlir::Value mask);

} // namespace rtorch::rt
