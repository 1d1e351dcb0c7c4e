// Builds loops and branches of the dialect.
#pragma once

#include "compiler/import/ops/Emitter.h"

#include <functional>

namespace rtorch::translate {

/// A loop to be built.
struct LoopSpec {
  Expr trips;
  std::vector<Value> inits; // of the carried values
  /// Whether the loop ends before a round in which the first carried value, a bool of
  /// rank 0, is false.
  bool conditional = false;
  /// For each value that every round gives besides the carried ones: whether the first
  /// round's is the last of the stack. They are stacked along a new dim 0.
  std::vector<bool> reversed;
};

/// What a round gives: the next carried values, then those to be stacked; empty where
/// an error was reported.
using Round =
    std::function<std::vector<Value>(const Expr &round, llvm::ArrayRef<Value> carried)>;

/// The carried values after the last round, then the stacked ones, all row-major. Empty
/// where an error was reported.
std::vector<Value> buildLoop(Emitter &e, const LoopSpec &loop, const Round &round);

/// The slice of `x` at `index`, which the caller knows to be in range.
Value selectRound(Emitter &e, Value x, int64_t dim, const Expr &index);

/// What one of two branches gives, by a bool of rank 0. Results have the strides that
/// the first branch gives them.
std::vector<Value> buildBranch(Emitter &e, Value condition,
                               const std::function<std::vector<Value>()> &then,
                               const std::function<std::vector<Value>()> &otherwise);

} // namespace rtorch::translate
