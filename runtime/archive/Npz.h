// NumPy's .npz and .npy files: inputs and outputs of the commands and the tests.
#pragma once

#include "runtime/archive/Error.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rtorch::archive {

/// NumPy's element type: `kind` is 'b' (bool), 'i' (signed), 'u' (unsigned) or
/// 'f' (floating point); `width` is in bytes. Supported: b1, i1, i2, i4, i8, u1, u2,
/// u4, u8, f2, f4, f8. bfloat16 has no NumPy type: its bits travel as u2.
struct NpyType {
  char kind = 'f';
  uint8_t width = 4;

  bool operator==(const NpyType &) const = default;
  /// "f4", "b1", ...
  std::string str() const;
  /// Whether it is one of the supported types listed above.
  bool isSupported() const;
};

/// An array as it lies in the file. A Fortran-ordered array has column-major strides;
/// the bytes are never reordered.
struct NpyArray {
  std::string name; // without ".npy"
  NpyType type;
  std::vector<int64_t> shape;   // empty for a 0-d array
  std::vector<int64_t> strides; // in elements, not bytes
  std::span<const std::byte> bytes;
  /// Keeps `bytes` alive: the mapped file, or memory of its own. May be null for an
  /// array to be written, whose bytes the caller keeps.
  std::shared_ptr<const void> owner;

  int64_t numel() const;

  /// A row-major array of zeros with memory of its own, to be filled through
  /// mutableBytes. The size in bytes must fit in int64 (the caller's shape is trusted).
  static NpyArray zeros(std::string name, NpyType type, std::vector<int64_t> shape);
  /// The writable bytes of an array made by zeros(); do not call it on one that was
  /// read from a file.
  std::span<std::byte> mutableBytes();
};

/// Row-major strides in elements for `shape`, as NumPy gives them.
std::vector<int64_t> rowMajorStrides(std::span<const int64_t> shape);

/// Reads all arrays of a .npz (zip of .npy entries, stored or deflated, in file order)
/// or the one array of a .npy (its name is the file's stem). Bytes of stored entries
/// that are aligned for their type are used in place from the mapped file; the others
/// are copied. Every array's bytes are aligned to its element width.
///
/// Fails with a message that names file, entry and reason: not a NumPy file, damaged
/// zip or wrong CRC-32, header out of the format, big-endian or unsupported types,
/// payload shorter or longer than shape and type say, the same name twice.
Result<std::vector<NpyArray>> readNpz(const std::filesystem::path &path);

/// Parses one .npy image (format versions 1, 2 and 3). `owner` keeps `image` alive.
Result<NpyArray> parseNpy(std::string name, std::span<const std::byte> image,
                          std::shared_ptr<const void> owner);

/// Writes contiguous row-major arrays as .npz (stored entries, one `<name>.npy` each,
/// in order) to a temporary file beside `path` and renames it, so that `path` never
/// holds half a file. Fails when an array is not row-major, a name is empty, has a '/'
/// or occurs twice, or the bytes do not fit shape and type.
Status writeNpz(const std::filesystem::path &path, std::span<const NpyArray> arrays);

} // namespace rtorch::archive
