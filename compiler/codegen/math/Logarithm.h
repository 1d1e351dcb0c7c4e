// Parts of log x that other functions are made of.
#pragma once

#include "compiler/codegen/math/Emitter.h"

namespace rtorch::codegen {

/// x = 2^exponent * mantissa with mantissa in [sqrt(1/2), sqrt(2)); both floats.
struct LogReduction {
  V exponent;
  V mantissa;
};
/// For positive finite x, subnormal ones too.
LogReduction reduceLog(V x);
/// For positive normal x.
LogReduction reduceLogOfNormal(V x);

/// Replaces what a formula gave for zero, negative, infinite and NaN arguments.
V fixLogSpecials(V x, V result);

// ln 2 in two parts, the first short enough that exponents times it are exact.
double ln2High(const Emitter &e);
double ln2Low(const Emitter &e);

} // namespace rtorch::codegen
