// Where a value's memory comes from.
#pragma once

#include "dialects/rt/Rt.h"

namespace rtorch::schedule {

/// The value that `value` is a view of, through any number of view ops.
inline mlir::Value viewRoot(mlir::Value value) {
  while (auto view = value.getDefiningOp<rt::ViewOpInterface>())
    value = view.getViewSource();
  return value;
}

/// Whether `value` is memory that outlives a run: an argument or a parameter.
inline bool isExternal(mlir::Value root) {
  return mlir::isa<mlir::BlockArgument>(root) || root.getDefiningOp<rt::ParameterOp>();
}

} // namespace rtorch::schedule
