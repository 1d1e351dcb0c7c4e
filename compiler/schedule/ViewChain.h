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

/// Whether a buffer laid out as `view` holds exactly the elements of its root, which
/// can then live in it.
inline bool coversRoot(mlir::Value view, const layout::Guards &guards) {
  rt::TensorType type = rt::tensorType(view), root = rt::tensorType(viewRoot(view));
  if (!type.getOffset().isConstant(0) ||
      layout::numel(type.getSizes()) != layout::numel(root.getSizes()))
    return false;
  layout::Guards trial = guards; // only what is proven counts
  return layout::isDense(type.getLayout(), trial) &&
         trial.recorded().size() == guards.recorded().size();
}

} // namespace rtorch::schedule
