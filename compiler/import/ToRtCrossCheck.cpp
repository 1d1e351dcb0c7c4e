// Our sizes and strides against those that the exporter recorded.
#include "compiler/import/ToRtParts.h"

using namespace mlir;

namespace rtorch::importer {

/// Whether the strides agree on all dims that address more than one element.
static bool sameStrides(const layout::Guards &guards, const layout::Dims &sizes,
                        const layout::Dims &ours, const layout::Dims &theirs) {
  for (const layout::Expr &size : sizes)
    if (size.isConstant(0))
      return true;
  for (size_t i = 0; i < sizes.size(); ++i)
    if (!sizes[i].isConstant(1) && guards.query(layout::Relation::Eq, ours[i],
                                                theirs[i]) != layout::Answer::Proven)
      return false;
  return true;
}

static bool sameSizes(const layout::Guards &guards, const layout::Dims &ours,
                      const layout::Dims &theirs) {
  if (ours.size() != theirs.size())
    return false;
  for (size_t i = 0; i < ours.size(); ++i)
    if (guards.query(layout::Relation::Eq, ours[i], theirs[i]) !=
        layout::Answer::Proven)
      return false;
  return true;
}

void crossCheck(const layout::Guards &guards, const Graph &graph, ValueId id,
                mlir::Value value, Location loc) {
  const TensorMeta *meta = graph.value(id).tensor();
  if (!meta || !value)
    return;
  rt::TensorType type = rt::tensorType(value);
  layout::Layout layout = type.getLayout();
  auto warn = [&](llvm::StringRef what) {
    emitWarning(loc) << "cross-check of '" << graph.value(id).name << "': " << what
                     << " of " << type << " differ from the exporter's " << meta->str();
  };
  if (translate::dtypeOf(value) != meta->dtype)
    return warn("the dtype");
  if (!sameSizes(guards, layout.sizes, meta->sizes))
    return warn("sizes");
  if (!sameStrides(guards, layout.sizes, layout.strides, meta->strides))
    return warn("strides");
  if (!layout::numel(layout.sizes).isConstant(0) &&
      guards.query(layout::Relation::Eq, layout.offset, meta->offset) !=
          layout::Answer::Proven)
    warn("the offset");
}

} // namespace rtorch::importer
