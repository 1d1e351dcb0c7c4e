#include "runtime/layout/Layout.h"

#include <algorithm>
#include <cassert>

namespace rtorch::layout {

static void eraseDim(Layout &x, size_t dim) {
  x.sizes.erase(x.sizes.begin() + static_cast<std::ptrdiff_t>(dim));
  x.strides.erase(x.strides.begin() + static_cast<std::ptrdiff_t>(dim));
}

Layout permuteDims(const Layout &x, std::span<const int64_t> permutation) {
  assert(permutation.size() == x.rank() && "a permutation of all dims");
  Layout result{{}, {}, x.offset};
  for (int64_t dim : permutation) {
    result.sizes.push_back(x.sizes[static_cast<size_t>(dim)]);
    result.strides.push_back(x.strides[static_cast<size_t>(dim)]);
  }
  return result;
}

/// The stride of a dim that grows from `size` to `target`; nullopt if it cannot.
static std::optional<Expr> expandedStride(const Expr &size, const Expr &stride,
                                          const Expr &target, Guards &guards) {
  if (guards.query(Relation::Eq, size, target) == Answer::Proven)
    return stride;
  if (guards.query(Relation::Eq, size, 1) == Answer::Proven)
    return Expr(0); // where target is 1 after all, the stride addresses nothing
  if (guards.equal(size, target))
    return stride;
  return guards.equal(size, 1) ? std::optional<Expr>(0) : std::nullopt;
}

std::optional<Layout> expandTo(const Layout &x, const Dims &sizes, Guards &guards) {
  if (sizes.size() < x.rank())
    return std::nullopt;
  size_t added = sizes.size() - x.rank();
  Layout result{sizes, Dims(sizes.size(), Expr(0)), x.offset};
  for (size_t i = sizes.size(); i-- > added;) {
    if (sizes[i].isConstant(-1))
      result.sizes[i] = x.sizes[i - added];
    std::optional<Expr> stride = expandedStride(
        x.sizes[i - added], x.strides[i - added], result.sizes[i], guards);
    if (!stride)
      return std::nullopt;
    result.strides[i] = *stride;
  }
  // New dims repeat; one of size 1 steps over the rest.
  for (size_t i = added; i-- > 0;) {
    if (guards.query(Relation::Lt, sizes[i], 0) == Answer::Proven)
      return std::nullopt;
    if (x.rank() > 0 && sizes[i].isConstant(1))
      result.strides[i] = result.sizes[i + 1] * result.strides[i + 1];
  }
  return result;
}

Layout unsqueezeDim(const Layout &x, int64_t dim) {
  assert(dim >= 0 && static_cast<size_t>(dim) <= x.rank() && "dim out of range");
  auto at = static_cast<size_t>(dim);
  Expr stride = at < x.rank() ? x.sizes[at] * x.strides[at] : Expr(1);
  Layout result = x;
  result.sizes.insert(result.sizes.begin() + dim, Expr(1));
  result.strides.insert(result.strides.begin() + dim, stride);
  return result;
}

Layout squeezeDims(const Layout &x, std::span<const int64_t> dims, Guards &guards) {
  Layout result = x;
  for (size_t i = x.rank(); i-- > 0;)
    if (std::find(dims.begin(), dims.end(), static_cast<int64_t>(i)) != dims.end() &&
        guards.equal(x.sizes[i], 1))
      eraseDim(result, i);
  return result;
}

Layout selectIndex(const Layout &x, int64_t dim, const Expr &index) {
  assert(dim >= 0 && static_cast<size_t>(dim) < x.rank() && "dim out of range");
  Layout result = x;
  result.offset += index * x.strides[static_cast<size_t>(dim)];
  eraseDim(result, static_cast<size_t>(dim));
  return result;
}

/// A slice bound with negative values counted from the end.
static Expr wrapBound(const Expr &bound, const Expr &size, Guards &guards) {
  if (bound.isConstant(INT64_MAX))
    return size;
  if (bound.isConstant(INT64_MIN))
    return 0;
  return guards.less(bound, 0) ? bound + size : bound;
}

Layout sliceDim(const Layout &x, int64_t dim, const Expr &start, const Expr &end,
                int64_t step, Guards &guards) {
  assert(dim >= 0 && static_cast<size_t>(dim) < x.rank() && "dim out of range");
  assert(step >= 1 && "steps are positive");
  auto at = static_cast<size_t>(dim);
  const Expr &size = x.sizes[at];
  // The clamping stays in the expressions where the ranges do not decide it.
  Expr first = guards.simplify(max(min(wrapBound(start, size, guards), size), 0));
  Expr last = guards.simplify(max(min(wrapBound(end, size, guards), size), first));
  Layout result = x;
  result.sizes[at] = guards.simplify(ceildiv(last - first, step));
  result.strides[at] = x.strides[at] * step;
  result.offset += first * x.strides[at];
  return result;
}

Layout diagonalOf(const Layout &x, int64_t offset, int64_t dim1, int64_t dim2,
                  Guards &guards) {
  assert(dim1 != dim2 && "two different dims");
  auto a = static_cast<size_t>(dim1), b = static_cast<size_t>(dim2);
  Expr length = offset >= 0 ? min(x.sizes[a], x.sizes[b] - offset)
                            : min(x.sizes[a] + offset, x.sizes[b]);
  length = guards.simplify(max(length, 0));
  Layout result = x;
  result.sizes.push_back(length);
  result.strides.push_back(x.strides[a] + x.strides[b]);
  if (!length.isConstant(0))
    result.offset +=
        offset >= 0 ? Expr(offset) * x.strides[b] : -Expr(offset) * x.strides[a];
  eraseDim(result, std::max(a, b));
  eraseDim(result, std::min(a, b));
  return result;
}

Layout unfoldDim(const Layout &x, int64_t dim, int64_t size, int64_t step,
                 int64_t dilation) {
  assert(step >= 1 && dilation >= 1 && "steps are positive");
  if (x.rank() == 0) // counts as one element
    return {{Expr(size)}, {Expr(1)}, x.offset};
  auto at = static_cast<size_t>(dim);
  Layout result = x;
  result.sizes[at] = floordiv(x.sizes[at] - (size - 1) * dilation - 1, step) + 1;
  result.strides[at] = x.strides[at] * step;
  result.sizes.push_back(size);
  result.strides.push_back(x.strides[at] * dilation);
  return result;
}

} // namespace rtorch::layout
