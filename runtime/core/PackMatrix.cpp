#include "runtime/core/PackMatrix.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace rtorch::core {
namespace {

/// Elements at any address: archives of other writers than PyTorch do not align them.
template <typename T> struct Source {
  const std::byte *bytes;

  T operator[](int64_t i) const {
    T value;
    std::memcpy(&value, bytes + i * int64_t(sizeof(T)), sizeof(T));
    return value;
  }
  Source operator+(int64_t i) const { return {bytes + i * int64_t(sizeof(T))}; }
};

/// to[i][j] = from[j][i] for 4 x 4 elements; `fromStride` and `toStride` lie between
/// rows.
template <typename T>
void transposeSquare(Source<T> from, int64_t fromStride, T *to, int64_t toStride) {
  T square[4][4];
  for (int64_t j = 0; j < 4; ++j)
    for (int64_t i = 0; i < 4; ++i)
      square[i][j] = from[j * fromStride + i];
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 4; ++j)
      to[i * toStride + j] = square[i][j];
}

/// Packs the columns [first, first + count) into one panel of `columns`.
template <typename T>
void packPanel(Source<T> source, int64_t k, int64_t count, int64_t rowStride,
               int64_t columnStride, int64_t columns, T *panel) {
  const int64_t depth = (k + kDepthGroup - 1) / kDepthGroup * kDepthGroup;
  if (count < columns || k < depth)
    std::fill(panel, panel + depth * columns, T(0));
  if (columnStride == 1) {
    for (int64_t i = 0; i < k; ++i)
      std::memcpy(panel + i * columns, (source + i * rowStride).bytes,
                  size_t(count) * sizeof(T));
    return;
  }
  // Squares keep the lines of a transposed source in registers while they are used.
  constexpr int64_t block = 4;
  const int64_t wholeK = rowStride == 1 ? k / block * block : 0,
                wholeColumns = count / block * block;
  for (int64_t i = 0; i < wholeK; i += block)
    for (int64_t c = 0; c < wholeColumns; c += block)
      transposeSquare(source + i + c * columnStride, columnStride,
                      panel + i * columns + c, columns);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t c = i < wholeK ? wholeColumns : 0; c < count; ++c)
      panel[i * columns + c] = source[i * rowStride + c * columnStride];
}

template <typename T>
void pack(int64_t columns, const void *source, int64_t k, int64_t n, int64_t rowStride,
          int64_t columnStride, void *packed) {
  const Source<T> from{static_cast<const std::byte *>(source)};
  T *to = static_cast<T *>(packed);
  const int64_t depth = (k + kDepthGroup - 1) / kDepthGroup * kDepthGroup;
  for (int64_t first = 0; first < n; first += columns)
    packPanel(from + first * columnStride, k, std::min(columns, n - first), rowStride,
              columnStride, columns, to + first * depth);
}

} // namespace

void packMatrix(int64_t columns, int64_t elementBytes, const void *source, int64_t k,
                int64_t n, int64_t rowStride, int64_t columnStride, void *packed) {
  switch (elementBytes) {
  case 1:
    return pack<uint8_t>(columns, source, k, n, rowStride, columnStride, packed);
  case 2:
    return pack<uint16_t>(columns, source, k, n, rowStride, columnStride, packed);
  case 4:
    return pack<uint32_t>(columns, source, k, n, rowStride, columnStride, packed);
  case 8:
    return pack<uint64_t>(columns, source, k, n, rowStride, columnStride, packed);
  }
  assert(false && "elements are 1, 2, 4 or 8 bytes");
}

} // namespace rtorch::core
