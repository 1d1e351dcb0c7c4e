// Argument reduction of the trigonometric functions.
#pragma once

#include "compiler/codegen/math/Emitter.h"

namespace rtorch::codegen {

/// x = (4k + quadrant) pi/2 + r with |r| <= pi/4, for some integer k. `quadrant` is an
/// integer of which the lowest two bits count.
struct TrigReduction {
  V r;
  V quadrant;
};
TrigReduction reduceTrig(V x);

} // namespace rtorch::codegen
