// The module's expression table: evaluation and printing.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/format/Manifest.h"

#include <span>
#include <string>

namespace rtorch::core {

/// Evaluates all expressions in one pass. `symbols` has one value per symbol of the
/// manifest, `values` room for one per expression. Fails with LayoutOverflow, naming
/// the expression and the symbols' values, on int64 overflow and on division by zero.
/// Allocates only when it fails.
/// Loops are in round 0.
Status evaluate(const format::Manifest &manifest, std::span<const int64_t> symbols,
                std::span<int64_t> values);

/// Evaluates the expressions `ids` (in ascending order) again, with one round's number
/// for each loop of the manifest.
Status evaluateRound(const format::Manifest &manifest,
                     std::span<const format::ExprId> ids,
                     std::span<const int64_t> symbols, std::span<const int64_t> rounds,
                     std::span<int64_t> values);

/// Prints an expression over the symbols' names: "384*s0 + 1", "floordiv(s0, 2)".
std::string printExpr(const format::Manifest &manifest, format::ExprId id);

/// The value of an expression that depends on no symbol, if it has one.
std::optional<int64_t> constantValue(const format::Manifest &manifest,
                                     format::ExprId id);

/// "s0 = 4, s1 = 128"; empty without symbols.
std::string printSymbols(const format::Manifest &manifest,
                         std::span<const int64_t> symbols);

} // namespace rtorch::core
