#include "runtime/layout/SizeCases.h"

#include <algorithm>

namespace rtorch::layout {

/// The broadcast of two sizes of one dim.
static std::optional<Expr> broadcastSize(const Expr &a, const Expr &b, Guards &guards) {
  auto isProven = [&](const Expr &x, const Expr &y) {
    return guards.query(Relation::Eq, x, y) == Answer::Proven;
  };
  if (isProven(a, b) || isProven(b, 1))
    return a;
  if (isProven(a, 1))
    return b;
  // Open: equal sizes are by far the likeliest, also where the hints do not say.
  if (guards.equal(a, b))
    return a.isConstant() ? a : guards.simplify(b);
  if (guards.equal(b, 1))
    return a;
  if (guards.equal(a, 1))
    return b;
  return std::nullopt;
}

std::optional<Dims> broadcastSizes(std::span<const Dims> operands, Guards &guards) {
  Dims result;
  for (const Dims &sizes : operands) {
    if (sizes.size() > result.size())
      result.insert(result.begin(), sizes.size() - result.size(), Expr(1));
    size_t shift = result.size() - sizes.size();
    for (size_t i = 0; i < sizes.size(); ++i) {
      std::optional<Expr> size = broadcastSize(result[shift + i], sizes[i], guards);
      if (!size)
        return std::nullopt;
      result[shift + i] = *size;
    }
  }
  return result;
}

/// Whether an operand's size equals the result's size, of which it is either or 1.
static bool hasResultSize(const Expr &own, const Expr &result, Guards &guards) {
  if (guards.query(Relation::Eq, own, result) == Answer::Proven)
    return true;
  if (guards.query(Relation::Eq, own, 1) == Answer::Proven)
    return guards.equal(result, 1);
  return guards.equal(own, result);
}

/// The operand's strides in the dims of the result, 0 where it is broadcast.
static Dims alignedStrides(const Dims &sizes, const Layout &operand, Guards &guards) {
  Dims strides(sizes.size(), Expr(0));
  size_t shift = sizes.size() - operand.rank();
  for (size_t i = 0; i < operand.rank(); ++i)
    if (hasResultSize(operand.sizes[i], sizes[shift + i], guards))
      strides[shift + i] = operand.strides[i];
  return strides;
}

/// TensorIterator's comparison of two dims: -1 if `a` is faster, +1 if slower, 0 if
/// ambiguous. Not transitive with ambiguous dims.
static int compareDims(const Dims &sizes, std::span<const Dims> operands, size_t a,
                       size_t b, Guards &guards) {
  for (const Dims &strides : operands) {
    const Expr &x = strides[a], &y = strides[b];
    if (guards.equal(x, 0) || guards.equal(y, 0))
      continue;
    if (guards.less(x, y))
      return -1;
    if (!guards.equal(x, y))
      return 1;
    if (guards.less(sizes[b], sizes[a]))
      return 1;
  }
  return 0;
}

/// The dims from fastest to slowest: TensorIterator's insertion sort, step for step,
/// because its outcome depends on them where the comparison is ambiguous.
static std::vector<size_t> sortDims(const Dims &sizes, std::span<const Dims> operands,
                                    Guards &guards) {
  std::vector<size_t> perm;
  for (size_t dim = sizes.size(); dim-- > 0;)
    perm.push_back(dim);
  for (size_t i = 1; i < perm.size(); ++i) {
    size_t j = i;
    for (size_t k = i; k-- > 0;) {
      int order = compareDims(sizes, operands, perm[k], perm[j], guards);
      if (order < 0)
        break;
      if (order > 0) {
        std::swap(perm[k], perm[j]);
        j = k;
      }
    }
  }
  return perm;
}

/// Dense strides in the order that the operands' strides give.
static Dims sortedStrides(const Dims &sizes, std::span<const Dims> operands,
                          Guards &guards) {
  std::vector<size_t> perm = sortDims(sizes, operands, guards);
  if (std::is_sorted(perm.rbegin(), perm.rend()))
    return contiguousStrides(sizes);
  Dims strides(sizes.size());
  Expr next = 1;
  for (size_t dim : perm) {
    strides[dim] = next;
    next *= sizes[dim];
  }
  return strides;
}

static bool haveSizes(const Dims &sizes, std::span<const Layout> operands,
                      Guards &guards) {
  return std::all_of(operands.begin(), operands.end(), [&](const Layout &operand) {
    if (operand.rank() != sizes.size())
      return false;
    for (size_t i = 0; i < sizes.size(); ++i)
      if (!hasResultSize(operand.sizes[i], sizes[i], guards))
        return false;
    return true;
  });
}

static bool haveEqualStrides(std::span<const Layout> operands, Guards &guards) {
  for (const Layout &operand : operands.subspan(1))
    for (size_t i = 0; i < operand.rank(); ++i)
      if (!guards.equal(operand.strides[i], operands[0].strides[i]))
        return false;
  return true;
}

/// TensorIterator's fast path, for operands of the result's sizes.
static std::optional<Dims>
fastStrides(const Dims &sizes, std::span<const Layout> operands, Guards &guards) {
  auto all = [&](auto predicate) {
    return std::all_of(operands.begin(), operands.end(), predicate);
  };
  if (all([&](const Layout &x) { return isContiguous(x, guards); }))
    return contiguousStrides(sizes);
  if (sizes.size() == 4 && all([&](const Layout &x) {
        return isContiguous(x, MemoryFormat::ChannelsLast, guards);
      }))
    return stridesOf(MemoryFormat::ChannelsLast, sizes);
  if (haveEqualStrides(operands, guards) &&
      all([&](const Layout &x) { return isDense(x, guards); }))
    return operands[0].strides;
  return std::nullopt;
}

static Dims tensorIteratorStrides(const Dims &sizes, std::span<const Layout> operands,
                                  Guards &guards) {
  if (!operands.empty() && haveSizes(sizes, operands, guards))
    if (std::optional<Dims> strides = fastStrides(sizes, operands, guards))
      return *strides;
  std::vector<Dims> aligned;
  for (const Layout &operand : operands)
    aligned.push_back(alignedStrides(sizes, operand, guards));
  return sortedStrides(sizes, aligned, guards);
}

/// Row-major operands, broadcast or not, never put a dim before a faster one: the
/// result is contiguous whichever symbolic sizes are 1.
static bool areProvenRowMajor(std::span<const Layout> operands, const Guards &guards) {
  return std::all_of(operands.begin(), operands.end(), [&](const Layout &operand) {
    return isProvenRowMajor(operand, guards);
  });
}

Dims pointwiseStrides(const Dims &sizes, std::span<const Layout> operands,
                      Guards &guards) {
  Dims all = sizes;
  for (const Layout &operand : operands)
    all.insert(all.end(), operand.sizes.begin(), operand.sizes.end());
  if (!isStatic(all)) {
    Guards nonEmpty = assumingNonEmpty(guards, all);
    if (areProvenRowMajor(operands, nonEmpty))
      return contiguousStrides(sizes);
  }
  return *stridesForAllSizes(sizes, all, guards, [&](Guards &g) {
    return std::optional<Dims>(tensorIteratorStrides(sizes, operands, g));
  });
}

Dims preserveStrides(const Layout &x, Guards &guards) {
  return *stridesForAllSizes(x.sizes, x.sizes, guards, [&](Guards &g) {
    if (isDense(x, g))
      return std::optional<Dims>(x.strides);
    return std::optional<Dims>(sortedStrides(x.sizes, std::span(&x.strides, 1), g));
  });
}

} // namespace rtorch::layout
