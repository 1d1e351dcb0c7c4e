#include "compiler/codegen/lowering/Target.h"

#include "llvm/Target/TargetMachine.h"

#include <catch2/catch.hpp>

using namespace rtorch::codegen;

namespace {

Target resolved(llvm::StringRef name, llvm::StringRef triple = "x86_64-linux-gnu") {
  auto target = resolveTarget(name, triple);
  if (!target)
    FAIL(llvm::toString(target.takeError()));
  return *target;
}

std::string errorOf(llvm::StringRef name, llvm::StringRef triple = "x86_64-linux-gnu") {
  auto target = resolveTarget(name, triple);
  return target ? "" : llvm::toString(target.takeError());
}

} // namespace

TEST_CASE("levels of x86-64 give vector widths and required features") {
  Target v2 = resolved("x86-64-v2");
  CHECK(v2.vectorBytes == 16);
  CHECK_FALSE(v2.hasFma());
  CHECK(v2.hasFeature("sse4.2"));

  Target v3 = resolved("x86-64-v3");
  CHECK(v3.vectorBytes == 32);
  CHECK(v3.vectorRegisters == 16);
  CHECK(v3.lanes(4) == 8);
  CHECK(v3.features == std::vector<std::string>{"avx", "avx2", "bmi", "bmi2", "f16c",
                                                "fma", "lzcnt", "popcnt", "sse3",
                                                "sse4.1", "sse4.2", "ssse3"});

  Target v4 = resolved("x86-64-v4");
  CHECK(v4.vectorBytes == 64);
  CHECK(v4.vectorRegisters == 32);
  CHECK(v4.lanes(8) == 8);
  for (const char *name : {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd"})
    CHECK(v4.hasFeature(name));
}

TEST_CASE("named CPUs bring their caches") {
  CHECK(resolved("znver3").vectorBytes == 32);
  CHECK(resolved("znver5").l1Bytes == 48 << 10);
  CHECK(resolved("sapphirerapids").l2Bytes == 2048 << 10);
}

TEST_CASE("a first-generation AVX-512 CPU is treated as AVX2") {
  Target knl = resolved("knl");
  CHECK(knl.vectorBytes == 32);
  CHECK_FALSE(knl.hasFeature("avx512f"));
}

TEST_CASE("aarch64 is NEON with FMA") {
  Target arm = resolved("neoverse-n1", "aarch64-linux-gnu");
  CHECK(arm.vectorBytes == 16);
  CHECK(arm.vectorRegisters == 32);
  CHECK(arm.hasFma());
  CHECK(arm.features.empty());
}

TEST_CASE("bad targets are errors that say what is known") {
  using Catch::Matchers::Contains;
  CHECK_THAT(errorOf("znver33"), Contains("unknown CPU 'znver33'") &&
                                     Contains("native") && Contains("znver4") &&
                                     Contains("x86-64-v3"));
  CHECK_THAT(errorOf("x86-64-v3", "aarch64-linux-gnu"),
             Contains("unknown CPU 'x86-64-v3'") && Contains("neoverse-n1"));
  CHECK_THAT(errorOf(""), Contains("unknown CPU ''"));
  CHECK_THAT(errorOf("generic", "riscv64-linux-gnu"),
             Contains("expected x86_64 or aarch64"));
  CHECK_THAT(errorOf("x86-64-v3", "x86_64-apple-darwin"), Contains("ELF"));
}

TEST_CASE("every resolved target has a target machine") {
  for (auto [cpu, triple] : {std::pair("x86-64-v2", "x86_64-linux-gnu"),
                             {"x86-64-v4", "x86_64-linux-gnu"},
                             {"generic", "aarch64-linux-gnu"}}) {
    auto machine = createTargetMachine(resolved(cpu, triple));
    REQUIRE(bool(machine));
    CHECK((*machine)->isPositionIndependent());
  }
  auto native = resolveTarget("native");
  REQUIRE(bool(native));
  CHECK(native->l1Bytes >= 8 << 10);
}
