// Rules whose steps depend on whether a symbolic size is 1, although their result,
// where it matters, does not.
#pragma once

#include "runtime/layout/Layout.h"

#include <functional>

namespace rtorch::layout {

/// Computes strides with the given guards; nullopt where there are none.
using StrideRule = std::function<std::optional<Dims>(Guards &)>;

/// `guards` with every size of `sizes` that may be 0 assumed to be at least 1.
Guards assumingNonEmpty(const Guards &guards, const Dims &sizes);

/// Records in `guards` what `trial`, a copy of it, recorded since.
void adoptGuards(Guards &guards, const Guards &trial);

/// Applies `rule` for a result of sizes `resultSizes`. The sizes in `sizes` that may be
/// 1 are taken for larger ones if the strides so found also hold, up to dims of size 1,
/// in each case where some of them are 1; only otherwise guards decide which are.
std::optional<Dims> stridesForAllSizes(const Dims &resultSizes, const Dims &sizes,
                                       Guards &guards, const StrideRule &rule);

/// Whether the strides are exactly row-major, size-1 dims included, as known without
/// guards. The rules have short answers for these.
bool isProvenRowMajor(const Layout &x, const Guards &guards);

/// Whether all sizes are numbers.
bool isStatic(const Dims &sizes);

} // namespace rtorch::layout
