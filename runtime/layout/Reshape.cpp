#include "runtime/layout/SizeCases.h"

namespace rtorch::layout {

static bool isProvenEqual(const Expr &a, const Expr &b, const Guards &guards) {
  return guards.query(Relation::Eq, a, b) == Answer::Proven;
}

/// Whether new dims with `filled` elements leave room in a group of `count` elements.
static bool hasRoom(const Expr &filled, const Expr &count, Guards &guards) {
  if (isProvenEqual(filled, count, guards))
    return false;
  if (guards.query(Relation::Lt, filled, count) == Answer::Proven)
    return true;
  return !guards.equal(filled, count) && guards.less(filled, count);
}

/// Strides of a view of `x` (non-empty, not 0-d) as `sizes`, which have the same number
/// of elements. Old dims that are contiguous to each other form groups, from the right;
/// new dims fill group after group exactly, or there is no view.
static std::optional<Dims> groupedStrides(const Layout &x, const Dims &sizes,
                                          Guards &guards) {
  Dims strides(sizes.size());
  size_t next = sizes.size(); // new dims [next, n) have their strides
  Expr base = x.strides.back(), count = 1;
  for (size_t dim = x.rank(); dim-- > 0;) {
    count *= x.sizes[dim];
    if (dim > 0) {
      const Expr &outerStride = x.strides[dim - 1], &outerSize = x.sizes[dim - 1];
      Expr adjacent = count * base;
      if (isProvenEqual(outerStride, adjacent, guards) ||
          isProvenEqual(outerSize, 1, guards) || guards.equal(outerStride, adjacent) ||
          guards.equal(outerSize, 1))
        continue; // the group goes on
    }
    Expr filled = 1;
    while (next > 0 &&
           (hasRoom(filled, count, guards) || guards.equal(sizes[next - 1], 1))) {
      --next;
      strides[next] = filled * base;
      filled *= sizes[next];
    }
    if (!guards.equal(filled, count))
      return std::nullopt;
    if (dim > 0) {
      base = x.strides[dim - 1];
      count = 1;
    }
  }
  return next == 0 ? std::optional<Dims>(std::move(strides)) : std::nullopt;
}

/// Strides of a view that only adds or drops dims of size 1: those of the dims that
/// stay, whatever the sizes. nullopt for any other view.
static std::optional<Dims> unmergedStrides(const Layout &x, const Dims &sizes) {
  Dims strides(sizes.size());
  Expr stride = 1;
  size_t next = sizes.size();
  auto fillOnes = [&] {
    for (; next > 0 && sizes[next - 1].isConstant(1); --next)
      strides[next - 1] = stride;
  };
  for (size_t dim = x.rank(); dim-- > 0;) {
    if (x.sizes[dim].isConstant(1))
      continue;
    fillOnes();
    if (next == 0 || sizes[next - 1] != x.sizes[dim])
      return std::nullopt;
    strides[--next] = x.strides[dim];
    stride = x.strides[dim] * x.sizes[dim];
  }
  fillOnes();
  return next == 0 ? std::optional<Dims>(std::move(strides)) : std::nullopt;
}

std::optional<Layout> viewAs(const Layout &x, const Dims &sizes, Guards &guards) {
  if (!guards.equal(numel(x.sizes), numel(sizes)))
    return std::nullopt;
  for (const Expr &size : x.sizes)
    if (isProvenEqual(size, 0, guards))
      return Layout{sizes, x.sizes == sizes ? x.strides : contiguousStrides(sizes),
                    x.offset};
  if (x.rank() == 0)
    return Layout{sizes, Dims(sizes.size(), Expr(1)), x.offset};
  Dims all = x.sizes;
  all.insert(all.end(), sizes.begin(), sizes.end());
  // One group, filled from the right.
  if (!isStatic(all) && isProvenRowMajor(x, assumingNonEmpty(guards, all)))
    return Layout{sizes, contiguousStrides(sizes), x.offset};
  if (!isStatic(all))
    if (std::optional<Dims> strides = unmergedStrides(x, sizes))
      return Layout{sizes, *std::move(strides), x.offset};
  std::optional<Dims> strides = stridesForAllSizes(
      sizes, all, guards, [&](Guards &g) { return groupedStrides(x, sizes, g); });
  if (!strides)
    return std::nullopt;
  return Layout{sizes, *std::move(strides), x.offset};
}

Answer queryView(const Layout &x, const Dims &sizes, const Guards &guards) {
  Guards trial = guards;
  bool exists = viewAs(x, sizes, trial).has_value();
  if (trial.recorded().size() != guards.recorded().size())
    return Answer::Open;
  return exists ? Answer::Proven : Answer::Refuted;
}

} // namespace rtorch::layout
