// Whether what is computed once a row is used by the elements of that row.
#pragma once

#include "dialects/rt/Rt.h"

namespace rtorch::schedule {

/// Follows the result of the row op `producer`, which reduces dims of `domain`, to
/// `root`, through views that keep indices and ops that broadcast. True if each use
/// lines the result's dims up with the dims of `domain` that they come from: the sum of
/// an 8 x 8 tensor's rows may be added to its rows, but broadcasting adds it to its
/// columns.
bool alignsWithRows(mlir::Operation *producer, mlir::Operation *root,
                    const layout::Dims &domain, llvm::ArrayRef<int64_t> reduced);

} // namespace rtorch::schedule
