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

/// Whether every index of the manifest refers to something that exists and is of the
/// right kind, so that code behind it can index without checks. Inconsistent if not.
FormatStatus validate(const Manifest &manifest);

} // namespace rtorch::format
