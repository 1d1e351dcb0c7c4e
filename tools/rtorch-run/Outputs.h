// From the results of a run to the arrays of a .npz.
#pragma once

#include "runtime/archive/Npz.h"

#include <rtorch/rtorch.hpp>
#include <span>
#include <string>
#include <vector>

namespace rtorch::run {

/// A row-major copy of a tensor; bfloat16 becomes its uint16 bits.
archive::NpyArray copyOf(std::string name, const Tensor &tensor);

/// All that a run has left: results `out_<i>` (None has no array), mutated arguments
/// `after_<i>`, mutated buffers `buf_<name>`.
Expected<std::vector<archive::NpyArray>>
collectOutputs(const ModuleInfo &info, std::span<const Value> arguments,
               std::span<const Value> results, const Instance &instance);

} // namespace rtorch::run
