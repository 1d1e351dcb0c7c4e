// Windows of pooling ops, shared by the ops and their gradients.
#pragma once

#include "compiler/import/ops/Call.h"

namespace rtorch::translate {

/// Windows along one dim.
struct Window {
  Expr in, out;
  int64_t size = 1, step = 1, padding = 0, dilation = 1;
};

/// A pooling op's windows, one for each of the last `windows.size()` dims.
struct Pool {
  Value x;
  std::vector<Window> windows;
  bool ceil = false;

  int64_t spatial() const { return windows.size(); }
  int64_t firstDim() const { return rankOf(x) - spatial(); }
};

/// The arguments of a pooling op over `spatial` dims; nullopt after an error.
std::optional<Pool> poolOf(Call &c, int64_t spatial);

/// `x` along dim `dim` of `rank` dims.
Value along(Call &c, Value x, int64_t dim, int64_t rank);

/// What the sums of an average pool's windows are divided by: a number, or [out...].
Value divisorOf(Call &c, const Pool &pool, ScalarType dtype);

/// The windows of an adaptive pool along a dim: where each begins, how many elements it
/// has, and the largest number of them.
struct Spans {
  Value start, count; // [out]
  Expr most;
  bool equal = false; // all windows have `most` elements
};

/// [floor(i * in / out), ceil((i + 1) * in / out)) for all i.
Spans spansOf(Call &c, const Expr &in, const Expr &out);

/// How eager lays the result out: by the format that the input suggests, row-major, or
/// as a 2-d pool over a dim of size 1 before the last.
enum class PoolFormat { Suggested, RowMajor, AsTwoDims };

/// The result in the format that `x` implies.
Value poolFormatted(Call &c, Value result, Value x, PoolFormat format);

} // namespace rtorch::translate
