// Zip archives under mutation that stay archives.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rtorch::fuzz {

/// Changes `data`, of which `size` bytes are used: in three of four times the content
/// of one entry (JSON stays JSON), after which the archive is written anew around it,
/// else bytes anywhere. Returns the new size, at most `maxSize`.
size_t mutateZip(uint8_t *data, size_t size, size_t maxSize, unsigned seed);

} // namespace rtorch::fuzz
