// CRC-32C (Castagnoli), the checksum of module files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtorch::format {

/// CRC-32C of `bytes` appended to data whose CRC-32C is `crc` (0 for none). Uses the
/// CPU's instruction where there is one; the value does not depend on it.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t crc = 0);

/// The same by table, for CPUs without the instruction.
uint32_t crc32cByTable(std::span<const std::byte> bytes, uint32_t crc = 0);

} // namespace rtorch::format
