// Arithmetic on Range. INT64_MIN and INT64_MAX stand for minus and plus infinity.
#pragma once

#include "runtime/layout/Guards.h"

namespace rtorch::layout::interval {

Range add(Range a, Range b);
Range multiply(Range a, Range b);
Range power(Range a, unsigned exponent);
/// Quotients rounded to minus infinity; a divisor 0 is left out.
Range floordiv(Range a, Range b);
/// Remainders with the divisor's sign; a divisor 0 is left out.
Range mod(Range a, Range b);
Range min(Range a, Range b);
Range max(Range a, Range b);
/// What is in both. Where that is nothing (contradicting facts), `a`.
Range intersect(Range a, Range b);

} // namespace rtorch::layout::interval
