// Counts what the whole process takes from the heap.
#pragma once

#include <cstddef>

namespace rtorch::test {

/// Calls of malloc and its relatives since the program began; in all
/// threads and all libraries.
size_t allocations();

/// Blocks of the heap that are not freed.
size_t liveAllocations();

} // namespace rtorch::test
