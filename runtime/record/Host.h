// The machine and the process that a run is of.
#pragma once

#include "runtime/include/rtorch/record.hpp"

namespace rtorch::record {

/// Name, kernel, CPU model, CPUs that the process may use, memory in bytes, boot id.
Fields hostFacts();
/// The process's id, arguments and working directory.
Fields processFacts();
/// The most memory that the process has had resident; 0 if that is not known.
uint64_t peakMemoryBytes();

} // namespace rtorch::record
