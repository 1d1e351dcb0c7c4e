// Checksums of zip archives: behind them lies what matters.
#pragma once

#include <cstddef>
#include <span>

namespace rtorch::fuzz {

/// Puts the CRC-32 of each stored entry right, as far as the central directory leads to
/// its bytes; nothing else is changed.
void sealZip(std::span<std::byte> bytes);

} // namespace rtorch::fuzz
