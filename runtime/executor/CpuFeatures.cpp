#include "runtime/executor/CpuFeatures.h"

#include "runtime/format/Text.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace rtorch::executor {

using core::ErrorCode;
using format::text;

#if defined(__x86_64__)
namespace {

enum Register : uint8_t { EAX, EBX, ECX, EDX };
/// Register state that the operating system must save for the feature to be usable.
enum class OsState : uint8_t { None, Avx, Avx512, Amx };

struct Feature {
  std::string_view name;
  uint32_t leaf;
  uint32_t subleaf;
  Register reg;
  uint8_t bit;
  OsState state = OsState::None;
};

/// Bits as in Intel's and AMD's manuals under CPUID; user-level instructions only.
constexpr Feature kFeatures[] = {
    {"cmov", 1, 0, EDX, 15},
    {"cx8", 1, 0, EDX, 8},
    {"mmx", 1, 0, EDX, 23},
    {"fxsr", 1, 0, EDX, 24},
    {"sse", 1, 0, EDX, 25},
    {"sse2", 1, 0, EDX, 26},
    {"sse3", 1, 0, ECX, 0},
    {"pclmul", 1, 0, ECX, 1},
    {"ssse3", 1, 0, ECX, 9},
    {"fma", 1, 0, ECX, 12, OsState::Avx},
    {"cx16", 1, 0, ECX, 13},
    {"sse4.1", 1, 0, ECX, 19},
    {"sse4.2", 1, 0, ECX, 20},
    {"crc32", 1, 0, ECX, 20},
    {"movbe", 1, 0, ECX, 22},
    {"popcnt", 1, 0, ECX, 23},
    {"aes", 1, 0, ECX, 25},
    {"xsave", 1, 0, ECX, 27},
    {"avx", 1, 0, ECX, 28, OsState::Avx},
    {"f16c", 1, 0, ECX, 29, OsState::Avx},
    {"rdrnd", 1, 0, ECX, 30},
    {"fsgsbase", 7, 0, EBX, 0},
    {"bmi", 7, 0, EBX, 3},
    {"avx2", 7, 0, EBX, 5, OsState::Avx},
    {"bmi2", 7, 0, EBX, 8},
    {"invpcid", 7, 0, EBX, 10},
    {"rtm", 7, 0, EBX, 11},
    {"avx512f", 7, 0, EBX, 16, OsState::Avx512},
    {"avx512dq", 7, 0, EBX, 17, OsState::Avx512},
    {"rdseed", 7, 0, EBX, 18},
    {"adx", 7, 0, EBX, 19},
    {"avx512ifma", 7, 0, EBX, 21, OsState::Avx512},
    {"clflushopt", 7, 0, EBX, 23},
    {"clwb", 7, 0, EBX, 24},
    {"avx512cd", 7, 0, EBX, 28, OsState::Avx512},
    {"sha", 7, 0, EBX, 29},
    {"avx512bw", 7, 0, EBX, 30, OsState::Avx512},
    {"avx512vl", 7, 0, EBX, 31, OsState::Avx512},
    {"avx512vbmi", 7, 0, ECX, 1, OsState::Avx512},
    {"pku", 7, 0, ECX, 4},
    {"waitpkg", 7, 0, ECX, 5},
    {"avx512vbmi2", 7, 0, ECX, 6, OsState::Avx512},
    {"shstk", 7, 0, ECX, 7},
    {"gfni", 7, 0, ECX, 8},
    {"vaes", 7, 0, ECX, 9, OsState::Avx},
    {"vpclmulqdq", 7, 0, ECX, 10, OsState::Avx},
    {"avx512vnni", 7, 0, ECX, 11, OsState::Avx512},
    {"avx512bitalg", 7, 0, ECX, 12, OsState::Avx512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, OsState::Avx512},
    {"rdpid", 7, 0, ECX, 22},
    {"cldemote", 7, 0, ECX, 25},
    {"movdiri", 7, 0, ECX, 27},
    {"movdir64b", 7, 0, ECX, 28},
    {"avx512vp2intersect", 7, 0, EDX, 8, OsState::Avx512},
    {"serialize", 7, 0, EDX, 14},
    {"amx-bf16", 7, 0, EDX, 22, OsState::Amx},
    {"avx512fp16", 7, 0, EDX, 23, OsState::Avx512},
    {"amx-tile", 7, 0, EDX, 24, OsState::Amx},
    {"amx-int8", 7, 0, EDX, 25, OsState::Amx},
    {"avxvnni", 7, 1, EAX, 4, OsState::Avx},
    {"avx512bf16", 7, 1, EAX, 5, OsState::Avx512},
    {"cmpccxadd", 7, 1, EAX, 7},
    {"amx-fp16", 7, 1, EAX, 21, OsState::Amx},
    {"avxifma", 7, 1, EAX, 23, OsState::Avx},
    {"avxvnniint8", 7, 1, EDX, 4, OsState::Avx},
    {"avxneconvert", 7, 1, EDX, 5, OsState::Avx},
    {"avxvnniint16", 7, 1, EDX, 10, OsState::Avx},
    {"prefetchi", 7, 1, EDX, 14},
    {"xsaveopt", 13, 1, EAX, 0},
    {"xsavec", 13, 1, EAX, 1},
    {"xsaves", 13, 1, EAX, 3},
    {"sahf", 0x80000001u, 0, ECX, 0},
    {"lzcnt", 0x80000001u, 0, ECX, 5},
    {"sse4a", 0x80000001u, 0, ECX, 6},
    {"prfchw", 0x80000001u, 0, ECX, 8},
    {"xop", 0x80000001u, 0, ECX, 11, OsState::Avx},
    {"fma4", 0x80000001u, 0, ECX, 16, OsState::Avx},
    {"tbm", 0x80000001u, 0, ECX, 21},
    {"mwaitx", 0x80000001u, 0, ECX, 29},
    {"64bit", 0x80000001u, 0, EDX, 29},
    {"clzero", 0x80000008u, 0, EBX, 0},
    {"rdpru", 0x80000008u, 0, EBX, 4},
    {"wbnoinvd", 0x80000008u, 0, EBX, 9},
};

bool readCpuid(uint32_t leaf, uint32_t subleaf, uint32_t (&out)[4]) {
  return __get_cpuid_count(leaf, subleaf, &out[EAX], &out[EBX], &out[ECX], &out[EDX]) !=
         0;
}

/// The states that the operating system saves on a context switch (XCR0).
uint64_t enabledStates() {
  uint32_t regs[4] = {};
  if (!readCpuid(1, 0, regs) || !(regs[ECX] & (1u << 27))) // OSXSAVE
    return 0;
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

bool isStateEnabled(OsState state) {
  static const uint64_t enabled = enabledStates();
  static constexpr uint64_t masks[] = {0, 0x6, 0xE6, 0x60000};
  const uint64_t mask = masks[size_t(state)];
  return (enabled & mask) == mask;
}

} // namespace

std::string_view hostArchitecture() { return "x86_64"; }

bool cpuHasFeature(std::string_view feature) {
  for (const Feature &row : kFeatures) {
    if (row.name != feature)
      continue;
    uint32_t regs[4] = {};
    return readCpuid(row.leaf, row.subleaf, regs) && (regs[row.reg] >> row.bit & 1) &&
           isStateEnabled(row.state);
  }
  return false;
}

#elif defined(__aarch64__)
namespace {

struct Feature {
  std::string_view name;
  unsigned long kind; // AT_HWCAP or AT_HWCAP2
  uint8_t bit;
};

/// Bits of the Linux ABI (asm/hwcap.h).
constexpr Feature kFeatures[] = {
    {"fp-armv8", AT_HWCAP, 0},   {"neon", AT_HWCAP, 1},     {"aes", AT_HWCAP, 3},
    {"sha2", AT_HWCAP, 6},       {"crc", AT_HWCAP, 7},      {"lse", AT_HWCAP, 8},
    {"fullfp16", AT_HWCAP, 9},   {"rdm", AT_HWCAP, 12},     {"jsconv", AT_HWCAP, 13},
    {"complxnum", AT_HWCAP, 14}, {"rcpc", AT_HWCAP, 15},    {"dotprod", AT_HWCAP, 20},
    {"sve", AT_HWCAP, 22},       {"fp16fml", AT_HWCAP, 23}, {"sve2", AT_HWCAP2, 1},
    {"i8mm", AT_HWCAP2, 13},     {"bf16", AT_HWCAP2, 14},
};

} // namespace

std::string_view hostArchitecture() { return "aarch64"; }

bool cpuHasFeature(std::string_view feature) {
  for (const Feature &row : kFeatures)
    if (row.name == feature)
      return getauxval(row.kind) >> row.bit & 1;
  return false;
}

#else
#error "rtorch runs on x86_64 and aarch64"
#endif

core::Status checkTarget(const std::string &triple, const std::string &cpu,
                         std::span<const std::string> features) {
  const std::string_view architecture =
      std::string_view(triple).substr(0, triple.find('-'));
  if (architecture != hostArchitecture() || triple.find("linux") == std::string::npos)
    return core::makeError(ErrorCode::ModuleTarget,
                           text("the module is for '", triple, "', but this is ",
                                hostArchitecture(), " linux"));
  std::string missing;
  for (const std::string &feature : features)
    if (!cpuHasFeature(feature))
      missing += text(missing.empty() ? "" : ", ", feature);
  if (missing.empty())
    return {};
  return core::makeError(
      ErrorCode::ModuleTarget,
      text("the module was compiled for CPU '", cpu, "' and needs ", missing,
           ", which this CPU lacks; compile it with a --target-cpu that fits"));
}

core::Result<size_t> chooseLevel(std::span<const format::Manifest> levels,
                                 std::string_view wanted) {
  std::string known;
  for (size_t i = 0; i < levels.size(); ++i) {
    const format::Manifest &level = levels[i];
    if (wanted.empty() ? checkTarget(level.triple, level.cpu, level.features).ok()
                       : level.cpu == wanted)
      return i;
    known += text(i == 0 ? "" : ", ", level.cpu);
  }
  if (wanted.empty())
    return levels.size() - 1;
  return core::makeError(ErrorCode::ModuleTarget,
                         text("expected code for the CPU '", wanted,
                              "', but the module has code for ", known));
}

core::Result<size_t> chooseRunnableLevel(std::span<const format::Manifest> levels,
                                         std::string_view wanted) {
  core::Result<size_t> chosen = chooseLevel(levels, wanted);
  if (!chosen.ok())
    return chosen;
  const format::Manifest &level = levels[*chosen];
  core::Status status = checkTarget(level.triple, level.cpu, level.features);
  if (status.ok())
    return chosen;
  if (levels.size() == 1 || !wanted.empty())
    return status;
  return core::makeError(status.error().code,
                         text("none of the module's ", levels.size(),
                              " CPU levels can run here; of the least demanding: ",
                              status.error().message));
}

} // namespace rtorch::executor
