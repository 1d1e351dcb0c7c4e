// What upsampling and grids of coordinates share.
#pragma once

#include "compiler/import/ops/Rules.h"

#include <vector>

namespace rtorch::translate {

/// Neighbours along a dim and their weights.
struct Taps {
  std::vector<Value> places, weights;
};

/// The whole coordinate as an index, moved into [0, size).
Value toIndex(Call &c, Value coordinate, const Expr &size);

/// Weights of the four neighbours of a place `t` beyond the second one: Keys' cubic
/// convolution with a = -0.75.
std::vector<Value> cubicWeights(Emitter &e, Value t);

void addGridRules(RuleTable &table);

} // namespace rtorch::translate
