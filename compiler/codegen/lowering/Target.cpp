#include "compiler/codegen/lowering/Target.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/AArch64TargetParser.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/TargetParser/X86TargetParser.h"

#include <algorithm>
#include <mutex>
#include <unistd.h>

using namespace llvm;

namespace rtorch::codegen {
namespace {

/// x86 features that generated code uses and the loader checks. Whatever else a CPU
/// has stays unused: so the list in the module is all that a machine must offer.
constexpr StringLiteral checkedX86Features[] = {
    "avx",      "avx2", "avx512bw", "avx512cd", "avx512dq", "avx512f",
    "avx512vl", "bmi",  "bmi2",     "f16c",     "fma",      "lzcnt",
    "popcnt",   "sse3", "sse4.1",   "sse4.2",   "ssse3"};

struct CacheSizes {
  StringLiteral cpu;
  int64_t l1Kib, l2Kib;
};

/// Data caches per core, from the vendors' optimization manuals. Names that are not
/// listed get the defaults of Target, which every CPU with AVX2 has at least half of.
constexpr CacheSizes cacheSizes[] = {
    {"znver1", 32, 512},          {"znver2", 32, 512},
    {"znver3", 32, 512},          {"znver4", 32, 1024},
    {"znver5", 48, 1024},         {"haswell", 32, 256},
    {"broadwell", 32, 256},       {"skylake", 32, 256},
    {"skylake-avx512", 32, 1024}, {"cascadelake", 32, 1024},
    {"icelake-server", 48, 1280}, {"sapphirerapids", 48, 2048},
    {"graniterapids", 48, 2048},  {"x86-64-v4", 32, 1024},
    {"neoverse-n1", 64, 1024},    {"neoverse-n2", 64, 1024},
    {"neoverse-v1", 64, 1024},    {"neoverse-v2", 64, 2048},
    {"apple-m1", 128, 12288},
};

void initializeTargets() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
  });
}

Error unknownCpu(StringRef name, const Triple &triple, ArrayRef<StringRef> known) {
  SmallVector<StringRef> sorted(known);
  llvm::sort(sorted);
  return createStringError("unknown CPU '" + name + "' for " + triple.str() +
                           "; known are native, " + join(sorted, ", "));
}

/// The features of the CPU called `name`, or an error if there is none.
Expected<StringSet<>> x86FeaturesOf(StringRef name, const Triple &triple) {
  if (X86::parseArchX86(name, /*Only64Bit=*/true) == X86::CK_None) {
    SmallVector<StringRef> known;
    X86::fillValidCPUArchList(known, /*Only64Bit=*/true);
    return unknownCpu(name, triple, known);
  }
  SmallVector<StringRef> features;
  X86::getFeaturesForCPU(name, features);
  StringMap<bool> implied;
  for (StringRef feature : features) {
    implied[feature] = true;
    X86::updateImpliedFeatures(feature, /*Enabled=*/true, implied);
  }
  StringSet<> result;
  for (auto &feature : implied)
    if (feature.second)
      result.insert(feature.first());
  return result;
}

StringSet<> hostFeatures() {
  StringSet<> result;
  for (auto &feature : sys::getHostCPUFeatures())
    if (feature.second)
      result.insert(feature.first());
  return result;
}

/// Fills in what follows from the features an x86 CPU has.
void describeX86(Target &target, const StringSet<> &available) {
  // The first AVX-512 CPUs lack the 256-bit forms and byte elements: treated as AVX2.
  bool avx512 = all_of(
      ArrayRef<StringRef>{"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd"},
      [&](StringRef name) { return available.contains(name); });
  for (StringRef name : checkedX86Features)
    if (available.contains(name) && (avx512 || !name.starts_with("avx512")))
      target.features.push_back(name.str());
  target.vectorBytes = avx512 ? 64 : available.contains("avx2") ? 32 : 16;
  target.vectorRegisters = avx512 ? 32 : 16;
}

void setCacheSizes(Target &target, bool native) {
  const auto *entry = find_if(
      cacheSizes, [&](const CacheSizes &sizes) { return sizes.cpu == target.cpu; });
  if (entry != std::end(cacheSizes)) {
    target.l1Bytes = entry->l1Kib << 10;
    target.l2Bytes = entry->l2Kib << 10;
  }
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  if (!native)
    return;
  // Virtual machines often report 0: keep the value of the name then.
  if (int64_t l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE); l1 > 0)
    target.l1Bytes = l1;
  if (int64_t l2 = sysconf(_SC_LEVEL2_CACHE_SIZE); l2 > 0)
    target.l2Bytes = l2;
#else
  (void)native;
#endif
}

Error describe(Target &target, const Triple &triple, bool native) {
  if (triple.getArch() == Triple::x86_64) {
    if (native) {
      describeX86(target, hostFeatures());
      return Error::success();
    }
    Expected<StringSet<>> available = x86FeaturesOf(target.cpu, triple);
    if (!available)
      return available.takeError();
    describeX86(target, *available);
    return Error::success();
  }
  if (!native && target.cpu != "generic" && !AArch64::parseCpu(target.cpu)) {
    SmallVector<StringRef> known{"generic"};
    AArch64::fillValidCPUArchList(known);
    return unknownCpu(target.cpu, triple, known);
  }
  target.vectorBytes = 16;
  target.vectorRegisters = 32;
  return Error::success();
}

} // namespace

bool Target::hasFeature(StringRef name) const { return is_contained(features, name); }

bool Target::hasF16Conversions() const { return isAArch64() || hasFeature("f16c"); }
bool Target::hasFma() const { return isAArch64() || hasFeature("fma"); }

bool Target::isX86() const { return Triple(triple).getArch() == Triple::x86_64; }

bool Target::isAArch64() const { return Triple(triple).getArch() == Triple::aarch64; }

Expected<Target> resolveTarget(StringRef name, StringRef tripleName) {
  Triple host(sys::getDefaultTargetTriple());
  Triple triple(tripleName.empty() ? host.str() : Triple::normalize(tripleName));
  if (triple.getArch() != Triple::x86_64 && triple.getArch() != Triple::aarch64)
    return createStringError("target triple '" + triple.str() +
                             "': expected x86_64 or aarch64");
  if (!triple.isOSBinFormatELF())
    return createStringError("target triple '" + triple.str() +
                             "': expected a system with ELF objects, such as linux");
  bool native = name == "native";
  if (native && triple.getArch() != host.getArch())
    return createStringError("CPU 'native' is this machine (" + host.getArchName() +
                             "), but the target triple is '" + triple.str() +
                             "'; name a CPU");
  Target target;
  target.triple = triple.str();
  target.cpu = native ? sys::getHostCPUName().str() : name.str();
  if (Error error = describe(target, triple, native))
    return error;
  setCacheSizes(target, native);
  return target;
}

/// What "no CPU" means for a triple: a base that all its CPUs have.
static StringRef defaultCpu(StringRef tripleName) {
  Triple host(sys::getDefaultTargetTriple());
  Triple triple(Triple::normalize(tripleName));
  if (tripleName.empty() || triple.getArch() == host.getArch())
    return "native";
  return triple.getArch() == Triple::x86_64 ? "x86-64" : "generic";
}

Expected<std::vector<Target>> resolveTargets(StringRef names, StringRef triple) {
  SmallVector<StringRef> parts;
  names.split(parts, ',');
  if (names.empty())
    parts = {defaultCpu(triple)};
  std::vector<Target> targets;
  for (StringRef name : parts) {
    Expected<Target> target = resolveTarget(name.trim(), triple);
    if (!target)
      return target.takeError();
    if (any_of(targets, [&](const Target &other) { return other.cpu == target->cpu; }))
      return createStringError("CPU '" + target->cpu + "' is listed twice in '" +
                               names + "'");
    targets.push_back(std::move(*target));
  }
  stable_sort(targets, [](const Target &a, const Target &b) {
    return std::pair(a.vectorBytes, a.features.size()) >
           std::pair(b.vectorBytes, b.features.size());
  });
  return targets;
}

Expected<std::unique_ptr<TargetMachine>> createTargetMachine(const Target &target) {
  initializeTargets();
  std::string message;
  Triple triple(target.triple);
  const llvm::Target *llvmTarget = TargetRegistry::lookupTarget(triple, message);
  if (!llvmTarget)
    return createStringError(message);
  // The base CPU plus listed features, so that nothing unlisted can be used; the name
  // only tunes (ObjectCode.cpp sets it as "tune-cpu").
  std::string features;
  for (const std::string &feature : target.features)
    features += (features.empty() ? "+" : ",+") + feature;
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Standard;
  std::unique_ptr<TargetMachine> machine(llvmTarget->createTargetMachine(
      triple, triple.getArch() == Triple::x86_64 ? "x86-64" : "generic", features,
      options, Reloc::PIC_, std::nullopt, CodeGenOptLevel::Default));
  if (!machine)
    return createStringError("LLVM cannot generate code for '" + target.triple + "'");
  return machine;
}

} // namespace rtorch::codegen
