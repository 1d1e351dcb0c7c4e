#include "compiler/codegen/kernel/SliceNest.h"

using namespace mlir;
using rtorch::layout::Expr;

namespace rtorch::codegen {

/// About this many steps make a tile.
static constexpr int64_t kTileSteps = 16384;

SliceNest SliceNest::of(rt::TensorType type, ArrayRef<int64_t> whole, const Expr &slice,
                        const Target &target) {
  SliceNest nest;
  nest.sizes = type.getSizes();
  nest.slice = slice;
  for (int64_t dim = type.getRank() - 1; dim >= 0; --dim)
    if (type.getStrides()[dim].isConstant(1) && !nest.sizes[dim].isConstant(1)) {
      if (!llvm::is_contained(whole, dim))
        nest.laneDim = dim;
      break;
    }
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (dim != nest.laneDim && !llvm::is_contained(whole, dim))
      nest.outer.push_back(dim);
  if (nest.laneDim >= 0)
    nest.width = target.lanes(4);
  return nest;
}

Expr SliceNest::outerCount() const {
  Expr count = 1;
  for (int64_t dim : outer)
    count *= sizes[dim];
  return count;
}

Expr SliceNest::chunks() const {
  return laneDim < 0 ? Expr(1) : layout::ceildiv(sizes[laneDim], width);
}

Expr SliceNest::unitsPerTile() const {
  Expr steps = layout::max(slice, 1) * width;
  return layout::max(layout::floordiv(kTileSteps, steps), 1);
}

Expr SliceNest::grid() const {
  return layout::ceildiv(outerCount() * chunks(), unitsPerTile());
}

void delinearize(gemm::Emitter &e, const KernelState &state, const layout::Dims &sizes,
                 ArrayRef<int64_t> dims, Value linear, Indices &position) {
  for (size_t i = dims.size(); i-- > 0;) {
    Value size = e.lower(sizes[dims[i]], state.symbols);
    position[dims[i]] = Index{i ? e.rem(linear, size) : linear};
    if (i)
      linear = e.div(linear, size);
  }
}

void SliceNest::forSlices(gemm::Emitter &e, const KernelState &state, Value tile,
                          function_ref<void(const Indices &, Value)> body) const {
  auto lower = [&](const Expr &expr) { return e.lower(expr, state.symbols); };
  Value perTile = lower(unitsPerTile()), perRow = lower(chunks());
  Value first = e.mul(tile, perTile);
  Value last = e.min(e.add(first, perTile), lower(outerCount() * chunks()));
  e.loop(first, last, 1, [&](Value unit) {
    Indices position(sizes.size(), Index{e.constant(0)});
    delinearize(e, state, sizes, outer, e.div(unit, perRow), position);
    if (laneDim < 0)
      return body(position, {});
    Value lane = e.mul(e.rem(unit, perRow), width);
    position[laneDim] = Index{lane, width > 1 ? 1 : 0, {}};
    Value left = e.sub(lower(sizes[laneDim]), lane);
    std::optional<int64_t> size = sizes[laneDim].constant();
    if (width == 1 || (size && *size % width == 0))
      return body(position, {});
    e.branch(
        e.less(left, e.constant(width)),
        [&] { body(position, e.laneMask(width, left)); }, [&] { body(position, {}); });
  });
}

} // namespace rtorch::codegen
