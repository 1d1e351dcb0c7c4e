#include "runtime/layout/SizeCases.h"

#include <algorithm>
#include <array>

namespace rtorch::layout {

static constexpr std::array<size_t, 4> kChannelsLast{1, 3, 2, 0};
static constexpr std::array<size_t, 5> kChannelsLast3d{1, 4, 3, 2, 0};

static bool isProven(Relation relation, const Expr &a, const Expr &b,
                     const Guards &guards) {
  return guards.query(relation, a, b) == Answer::Proven;
}

/// Whether a dim has the expected stride or size 1. Asks only if neither is proven.
static bool strideFits(const Expr &size, const Expr &stride, const Expr &expected,
                       Guards &guards) {
  return isProven(Relation::Eq, stride, expected, guards) ||
         isProven(Relation::Eq, size, 1, guards) || guards.equal(stride, expected) ||
         guards.equal(size, 1);
}

/// Whether the dims, from fastest to slowest, are packed without gaps.
static bool isPacked(const Layout &x, std::span<const size_t> order, Guards &guards) {
  Expr expected = 1;
  for (size_t dim : order) {
    if (!strideFits(x.sizes[dim], x.strides[dim], expected, guards))
      return false;
    expected *= x.sizes[dim];
  }
  return true;
}

static bool hasProvenZero(const Layout &x, const Guards &guards) {
  return std::any_of(x.sizes.begin(), x.sizes.end(), [&](const Expr &size) {
    return isProven(Relation::Eq, size, 0, guards);
  });
}

/// Decides a predicate that has the value `ifEmpty` for tensors without elements: asks
/// whether a size is 0 only if the answer for non-empty tensors differs from it.
template <typename Result, typename Predicate>
static Result decideWithEmpty(const Layout &x, Guards &guards, Result ifEmpty,
                              Predicate predicate) {
  if (hasProvenZero(x, guards))
    return ifEmpty;
  if (isStatic(x.sizes))
    return predicate(guards);
  Guards nonEmpty = assumingNonEmpty(guards, x.sizes);
  Result result = predicate(nonEmpty);
  if (result != ifEmpty)
    for (const Expr &size : x.sizes)
      if (guards.equal(size, 0))
        return ifEmpty;
  adoptGuards(guards, nonEmpty);
  return result;
}

bool isContiguous(const Layout &x, Guards &guards) {
  std::vector<size_t> order;
  for (size_t dim = x.rank(); dim-- > 0;)
    order.push_back(dim);
  return decideWithEmpty(x, guards, true,
                         [&](Guards &g) { return isPacked(x, order, g); });
}

bool isContiguous(const Layout &x, MemoryFormat format, Guards &guards) {
  // The channels_last walks have no exception for empty tensors.
  if (format == MemoryFormat::ChannelsLast)
    return x.rank() == 4 && isPacked(x, kChannelsLast, guards);
  if (format == MemoryFormat::ChannelsLast3d)
    return x.rank() == 5 && isPacked(x, kChannelsLast3d, guards);
  return isContiguous(x, guards);
}

/// Finds among `dims` one that `accepts`, removes it and adds its size to `expected`.
template <typename Accepts>
static bool takeDim(const Layout &x, std::vector<size_t> &dims, Expr &expected,
                    Accepts accepts) {
  for (auto dim = dims.begin(); dim != dims.end(); ++dim)
    if (accepts(*dim)) {
      expected *= x.sizes[*dim];
      dims.erase(dim);
      return true;
    }
  return false;
}

/// Whether some order of the dims is packed: takes the dim with the stride expected
/// next, where proven, else where decided, else drops one of size 1.
static bool isPackedInSomeOrder(const Layout &x, Guards &guards) {
  std::vector<size_t> dims;
  for (size_t dim = 0; dim < x.rank(); ++dim)
    if (!isProven(Relation::Eq, x.sizes[dim], 1, guards))
      dims.push_back(dim);
  Expr expected = 1;
  while (!dims.empty()) {
    if (takeDim(x, dims, expected, [&](size_t dim) {
          return isProven(Relation::Eq, x.strides[dim], expected, guards);
        }))
      continue;
    if (takeDim(x, dims, expected,
                [&](size_t dim) { return guards.equal(x.strides[dim], expected); }))
      continue;
    if (takeDim(x, dims, expected,
                [&](size_t dim) { return guards.equal(x.sizes[dim], 1); }))
      continue;
    return false;
  }
  return true;
}

bool isDense(const Layout &x, Guards &guards) {
  return decideWithEmpty(x, guards, true,
                         [&](Guards &g) { return isPackedInSomeOrder(x, g); });
}

/// The walk of suggest_memory_format for tensors with elements. Multiplying by a size
/// of 1 changes nothing, so it does not matter whether a size is 1.
static bool suggestsChannelsLast(const Layout &x, std::span<const size_t> order,
                                 Guards &guards) {
  if (guards.equal(x.strides[1], 0))
    return false;
  Expr least = 0;
  for (size_t dim : order) {
    const Expr &stride = x.strides[dim];
    if (guards.less(stride, least))
      return false;
    if (dim == 0 && guards.equal(least, x.strides[1]))
      return false;
    least = stride * x.sizes[dim];
  }
  return true;
}

MemoryFormat suggestMemoryFormat(const Layout &x, Guards &guards) {
  if (x.rank() != 4 && x.rank() != 5)
    return MemoryFormat::Contiguous;
  bool is3d = x.rank() == 5;
  MemoryFormat format =
      is3d ? MemoryFormat::ChannelsLast3d : MemoryFormat::ChannelsLast;
  std::span<const size_t> order = kChannelsLast;
  if (is3d)
    order = kChannelsLast3d;
  return decideWithEmpty(x, guards, MemoryFormat::Contiguous, [&](Guards &g) {
    return suggestsChannelsLast(x, order, g) ? format : MemoryFormat::Contiguous;
  });
}

bool isExpanded(const Layout &x, Guards &guards) {
  for (size_t i = 0; i < x.rank(); ++i)
    if (guards.equal(x.strides[i], 0) && guards.less(1, x.sizes[i]))
      return true;
  return false;
}

} // namespace rtorch::layout
