// The header of a .npy file (NumPy enhancement proposal 1, versions 1.0, 2.0 and 3.0).
#pragma once

#include "runtime/archive/Error.h"
#include "runtime/archive/Npz.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rtorch::archive {

struct NpyHeader {
  NpyType type;
  bool fortranOrder = false;
  std::vector<int64_t> shape;
  size_t dataOffset = 0;
};

bool startsWithNpyMagic(std::span<const std::byte> image);

/// Parses the header strictly: a Python dict literal with exactly the keys descr,
/// fortran_order and shape; at most 64 dimensions, none negative.
Result<NpyHeader> parseNpyHeader(std::span<const std::byte> image);

/// A header of version 1.0 for a row-major array (2.0 where 1.0 is too short), whose
/// length is a multiple of 64.
std::string npyHeaderFor(NpyType type, std::span<const int64_t> shape);

/// Bytes of an array; nullopt when a size is negative, or when the sizes other than 0,
/// times the element width, overflow int64 (so that strides fit too).
std::optional<int64_t> npyByteSize(NpyType type, std::span<const int64_t> shape);

} // namespace rtorch::archive
