#include "runtime/format/Crc32c.h"

#include <array>
#include <cstring>

namespace rtorch::format {
namespace {

/// The polynomial x^32 + x^28 + ... + 1 with the bits reversed.
constexpr uint32_t kPolynomial = 0x82F63B78u;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

Tables makeTables() {
  Tables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i)
    for (size_t k = 1; k < 8; ++k)
      tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xFF];
  return tables;
}

/// Made when first asked for: as a constant they would be a fortieth of the library.
const Tables &tables() {
  static const Tables made = makeTables();
  return made;
}

/// Eight bytes a step ("slicing by eight"). Works on the inverted register.
uint32_t updateByTable(uint32_t state, const unsigned char *data, size_t size) {
  const Tables &table = tables();
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word = 0;
    for (size_t i = 0; i < 8; ++i)
      word |= uint64_t(data[i]) << (8 * i);
    word ^= state;
    state = 0;
    for (size_t i = 0; i < 8; ++i)
      state ^= table[7 - i][(word >> (8 * i)) & 0xFF];
  }
  for (; size; ++data, --size)
    state = (state >> 8) ^ table[0][(state ^ *data) & 0xFF];
  return state;
}

#if defined(__x86_64__)
/// a * b modulo the polynomial, both in reversed bit order (bit 31 is x^0).
constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000u; bit; bit >>= 1) {
    if (a & bit)
      product ^= b;
    b = (b >> 1) ^ ((b & 1) ? kPolynomial : 0);
  }
  return product;
}

/// x^(8 * bytes) modulo the polynomial: appending that many zero bytes.
constexpr uint32_t shiftOperator(size_t bytes) {
  uint32_t result = 0x80000000u, power = 0x00800000u; // x^0 and x^8
  for (; bytes; bytes >>= 1, power = multiply(power, power))
    if (bytes & 1)
      result = multiply(result, power);
  return result;
}

/// The instruction takes three cycles but starts every cycle: three blocks side by
/// side.
constexpr size_t kBlock = 8192;
constexpr uint32_t kShiftOne = shiftOperator(kBlock);
constexpr uint32_t kShiftTwo = shiftOperator(2 * kBlock);

uint64_t loadWord(const unsigned char *data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof word);
  return word;
}

__attribute__((target("sse4.2"))) uint32_t
updateByInstruction(uint32_t state, const unsigned char *data, size_t size) {
  for (; size >= 3 * kBlock; data += 3 * kBlock, size -= 3 * kBlock) {
    uint64_t a = state, b = 0, c = 0;
    for (size_t i = 0; i < kBlock; i += 8) {
      a = __builtin_ia32_crc32di(a, loadWord(data + i));
      b = __builtin_ia32_crc32di(b, loadWord(data + kBlock + i));
      c = __builtin_ia32_crc32di(c, loadWord(data + 2 * kBlock + i));
    }
    state = multiply(kShiftTwo, uint32_t(a)) ^ multiply(kShiftOne, uint32_t(b)) ^
            uint32_t(c);
  }
  uint64_t wide = state;
  for (; size >= 8; data += 8, size -= 8)
    wide = __builtin_ia32_crc32di(wide, loadWord(data));
  state = uint32_t(wide);
  for (; size; ++data, --size)
    state = __builtin_ia32_crc32qi(state, *data);
  return state;
}

bool hasInstruction() {
  static const bool has = (__builtin_cpu_init(), __builtin_cpu_supports("sse4.2"));
  return has;
}
#endif

const unsigned char *dataOf(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char *>(bytes.data());
}

} // namespace

uint32_t crc32cByTable(std::span<const std::byte> bytes, uint32_t crc) {
  return ~updateByTable(~crc, dataOf(bytes), bytes.size());
}

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t crc) {
#if defined(__x86_64__)
  if (hasInstruction())
    return ~updateByInstruction(~crc, dataOf(bytes), bytes.size());
#endif
  return crc32cByTable(bytes, crc);
}

} // namespace rtorch::format
