// The manifest's bytes. See docs/reference/module_format.md.
#pragma once

#include "runtime/format/FormatError.h"
#include "runtime/format/Manifest.h"

#include <cstddef>
#include <span>
#include <vector>

namespace rtorch::format {

/// Ranks above this are not accepted (PyTorch's own limit is the same).
inline constexpr size_t kMaxRank = 64;

/// The manifest's bytes; equal manifests give equal bytes.
std::vector<std::byte> encode(const Manifest &manifest);

/// Reads what encode() wrote. Anything else (short, long, an enumerator or an index
/// that does not exist, see validate()) is Damaged and leaves `manifest` unspecified.
FormatStatus decode(std::span<const std::byte> bytes, Manifest &manifest);

/// CPU levels of a module are at most so many.
inline constexpr size_t kMaxLevels = 16;

/// The manifests of all levels as one section of the file.
std::vector<std::byte> encodeLevels(std::span<const Manifest> levels);

/// Reads what encodeLevels() wrote. Each level must be valid, and all must promise the
/// same; else Damaged.
FormatStatus decodeLevels(std::span<const std::byte> bytes,
                          std::vector<Manifest> &levels);

/// Whether there are 1 to kMaxLevels levels, each valid, that take the same arguments
/// and weights, and give the same results. Inconsistent if not.
FormatStatus validateLevels(std::span<const Manifest> levels);

/// Whether every index of the manifest refers to something that exists and is of the
/// right kind, so that code behind it can index without checks. Inconsistent if not.
FormatStatus validate(const Manifest &manifest);

} // namespace rtorch::format
