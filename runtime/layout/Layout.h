// The stride algebra: which layouts eager PyTorch gives to results, which views exist
// without a copy, which tensors overlap. Sizes, strides and offsets are expressions;
// numbers are constant expressions. Strides and offsets count elements.
#pragma once

#include "runtime/layout/Expr.h"
#include "runtime/layout/Guards.h"

#include <optional>
#include <span>
#include <vector>

namespace rtorch::layout {

using Dims = std::vector<Expr>;

/// Sizes, strides and storage offset of a tensor.
struct Layout {
  Dims sizes;
  Dims strides;
  Expr offset;
  size_t rank() const { return sizes.size(); }
  bool operator==(const Layout &) const = default;
};

enum class MemoryFormat : uint8_t {
  Contiguous,
  ChannelsLast,
  ChannelsLast3d,
  Preserve
};

Expr numel(const Dims &sizes);

// --- Strides from sizes -------------------------------------------------------------
/// Row-major: t[n-1] = 1, t[i] = t[i+1] * max(s[i+1], 1). Symbolic sizes enter without
/// the max, so that the strides of [s0, s1, 384] print as [384*s1, 384, 1]: where a
/// size turns out to be 0, the strides differ from eager's, but nothing is addressed by
/// them.
Dims contiguousStrides(const Dims &sizes);
/// Strides of `format` (not Preserve): channels_last for rank 4, channels_last_3d
/// for 5.
Dims stridesOf(MemoryFormat format, const Dims &sizes);

// Symbolic sizes that may be 1 or 0. Strides of a size-1 dim address nothing, so rules
// that give strides (pointwiseStrides, preserveStrides, viewAs) do not ask whether such
// a size is 1 as long as the strides of the general case also address the right
// elements when it is: the result is then exact but for the strides of dims that happen
// to have size 1. With constant sizes all strides are exact. Predicates do ask. Empty
// tensors: a size that may be 0 is taken for non-zero wherever only strides depend on
// it.

// --- Predicates (each decides open questions through `guards`)
// ------------------------
bool isContiguous(const Layout &x, Guards &guards);
bool isContiguous(const Layout &x, MemoryFormat format, Guards &guards);
/// Non-overlapping and dense.
bool isDense(const Layout &x, Guards &guards);
/// torch's suggest_memory_format: ChannelsLast, ChannelsLast3d or Contiguous.
MemoryFormat suggestMemoryFormat(const Layout &x, Guards &guards);
/// Some dim of size > 1 has stride 0: writing would hit an element twice.
bool isExpanded(const Layout &x, Guards &guards);

// --- Result strides
// ---------------------------------------------------------------------
/// Sizes of the broadcast of all operands; nullopt if they do not broadcast.
std::optional<Dims> broadcastSizes(std::span<const Dims> operands, Guards &guards);
/// TensorIterator's rule for pointwise results. `operands` in argument order, scalars
/// as rank 0 operands. An operand that is first converted to the common dtype enters
/// with its preserveStrides().
Dims pointwiseStrides(const Dims &sizes, std::span<const Layout> operands,
                      Guards &guards);
/// torch.preserve_format: clone, *_like, dtype conversion.
Dims preserveStrides(const Layout &x, Guards &guards);

// --- Views: geometry of the result; nullopt where the view does not exist
// ----------------
/// view/reshape without a copy. `sizes` has no -1 left.
std::optional<Layout> viewAs(const Layout &x, const Dims &sizes, Guards &guards);
/// Whether viewAs() would succeed, as far as known without a guard: lets `reshape`
/// choose the copy where the view depends on the values of symbols.
Answer queryView(const Layout &x, const Dims &sizes, const Guards &guards);
Layout permuteDims(const Layout &x, std::span<const int64_t> permutation);
/// `sizes` of the result; -1 keeps the size of an existing dim.
std::optional<Layout> expandTo(const Layout &x, const Dims &sizes, Guards &guards);
Layout unsqueezeDim(const Layout &x, int64_t dim);
Layout squeezeDims(const Layout &x, std::span<const int64_t> dims, Guards &guards);
/// `index` >= 0 or symbolic and already wrapped.
Layout selectIndex(const Layout &x, int64_t dim, const Expr &index);
/// Python slice semantics, clamped. `step` >= 1. `end` may be INT64_MAX.
Layout sliceDim(const Layout &x, int64_t dim, const Expr &start, const Expr &end,
                int64_t step, Guards &guards);
Layout diagonalOf(const Layout &x, int64_t offset, int64_t dim1, int64_t dim2,
                  Guards &guards);
Layout unfoldDim(const Layout &x, int64_t dim, int64_t size, int64_t step,
                 int64_t dilation = 1);

// --- Overlap
// ------------------------------------------------------------------------------
/// Extent [first, last] in elements that the tensor touches, relative to its storage;
/// nullopt if it provably has no elements. Where a symbolic size may be 0, the extent
/// is the one for elements present. Strides are not negative.
std::optional<std::pair<Expr, Expr>> touchedRange(const Layout &x,
                                                  const Guards &guards);
/// Whether two tensors of one storage touch a common element: Refuted if they provably
/// do not, Proven if they provably do (exact for constant layouts, but for huge
/// searches).
Answer mayOverlap(const Layout &a, const Layout &b, const Guards &guards);

} // namespace rtorch::layout
