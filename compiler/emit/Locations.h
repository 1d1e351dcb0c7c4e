// The FX node and the user's source line behind an MLIR location.
#pragma once

#include "mlir/IR/Location.h"

#include <string>

namespace rtorch::emit {

struct NodeLocation {
  std::string node;   // "linear_3"; empty if unknown
  std::string source; // "model.py:12"; empty if unknown
};

/// Reads NameLoc(node, FileLineColLoc(source)); of a fused location the first part that
/// names a node.
NodeLocation describe(mlir::Location loc);

/// The names of all nodes in a fused location, "linear_3+gelu".
std::string joinNodes(mlir::Location loc);

} // namespace rtorch::emit
