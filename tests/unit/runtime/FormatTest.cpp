// Module files: round trips, determinism, and every kind of damage.
#include "runtime/executor/CpuFeatures.h"
#include "runtime/format/Crc32c.h"
#include "runtime/format/ManifestCodec.h"
#include "tests/unit/runtime/TestModules.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

using namespace rtorch;
using namespace rtorch::test;
using namespace rtorch::format;

namespace {

std::string readFile(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void writeFile(const std::filesystem::path &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// "CODE: message" of loading a file with these bytes, or "ok".
std::string outcome(const std::filesystem::path &path, const std::string &bytes) {
  writeFile(path, bytes);
  auto module = executor::Module::load(path, {});
  if (module.ok())
    return "ok";
  return std::string(core::codeName(module.error().code)) + ": " +
         module.error().message;
}

/// Changes a field of the trailer and repairs the trailer's checksum.
template <typename Change> std::string withTrailer(std::string bytes, Change change) {
  Trailer trailer;
  char *end = bytes.data() + bytes.size() - sizeof trailer;
  std::memcpy(&trailer, end, sizeof trailer);
  change(trailer);
  trailer.trailer_crc = crc32c(std::as_bytes(std::span(&trailer, 1)).first(60));
  std::memcpy(end, &trailer, sizeof trailer);
  return bytes;
}

std::vector<TestModule> allModules() {
  return {scaleModule(),       embeddingModule(), statefulModule(),
          runningSumsModule(), loopModule(),      branchModule()};
}

} // namespace

TEST_CASE("CRC-32C by instruction and by table") {
  const char *digits = "123456789";
  const auto nine = std::as_bytes(std::span(digits, 9));
  CHECK(crc32c(nine) == 0xE3069283u); // the check value of the catalogues
  CHECK(crc32cByTable(nine) == 0xE3069283u);
  std::mt19937 random(1);
  std::vector<std::byte> bytes(100000);
  for (std::byte &byte : bytes)
    byte = std::byte(random());
  for (size_t size : {0, 1, 7, 8, 9, 4095, 24575, 24576, 24577, 49160, 100000}) {
    const auto part = std::span<const std::byte>(bytes).first(size);
    CHECK(crc32c(part) == crc32cByTable(part));
    CHECK(crc32c(part.subspan(size / 3), crc32c(part.first(size / 3))) == crc32c(part));
  }
}

TEST_CASE("a manifest survives encoding") {
  for (const TestModule &module : allModules()) {
    const std::vector<std::byte> bytes = encode(module.manifest);
    Manifest decoded;
    CHECK_FALSE(decode(bytes, decoded).has_value());
    CHECK(decoded == module.manifest);
    CHECK(encode(decoded) == bytes);
  }
}

TEST_CASE("no bytes crash the manifest's decoder") {
  std::mt19937 random(2);
  for (const TestModule &module : allModules()) {
    const std::vector<std::byte> bytes = encode(module.manifest);
    Manifest decoded;
    for (size_t size = 0; size < bytes.size(); ++size)
      CHECK(decode(std::span(bytes).first(size), decoded).has_value());
    for (int i = 0; i < 3000; ++i) {
      std::vector<std::byte> changed = bytes;
      for (int k = 0; k < 1 + i % 3; ++k)
        changed[random() % changed.size()] = std::byte(random());
      if (!decode(changed, decoded)) // it may still be a manifest
        CHECK_FALSE(validate(decoded).has_value());
    }
  }
}

TEST_CASE("steps that cannot be run are found") {
  auto problem = [](TestModule module, auto change) -> std::string {
    change(module.manifest);
    FormatStatus error = validate(module.manifest);
    return error ? error->message : "valid";
  };
  auto loop = [&](auto change) { return problem(loopModule(), change); };
  auto branch = [&](auto change) { return problem(branchModule(), change); };
  CHECK(loop([](Manifest &) {}) == "valid");
  CHECK(branch([](Manifest &) {}) == "valid");
  CHECK(loop([](Manifest &m) { m.steps[0].body = 2; }) ==
        "manifest: step 0 covers 2 steps, but 1 follow");
  CHECK(loop([](Manifest &m) { m.steps[0].otherwise = 1; }) ==
        "manifest: step 0 is a loop with 1 steps of a branch");
  CHECK(loop([](Manifest &m) { m.steps[0].index = 1; }) ==
        "manifest: step 0 refers to loop 1, but there are 1");
  CHECK(loop([](Manifest &m) { m.steps[1].index = 1; }) ==
        "manifest: step 1 refers to launch 1, but there are 1");
  CHECK(loop([](Manifest &m) { m.loops = UINT32_MAX; }) ==
        "manifest: there are 4294967295 loops, but 2 steps");
  CHECK(loop([](Manifest &m) {
          m.loops = 0;
        }).starts_with("manifest: expression 4 refers to loop 0"));
  CHECK(loop([](Manifest &m) {
          m.steps.insert(m.steps.begin(), m.steps[0]);
          m.steps[0].body = 2;
        }) == "manifest: step 1 has the number of an earlier loop");
  // What is planned once for all rounds may not depend on them.
  CHECK(loop([](Manifest &m) {
          m.arena_bytes = m.schedule[0].operands[0].byte_offset;
        }) == "manifest: the arena's size depends on the round of a loop");
  CHECK(loop([](Manifest &m) {
          m.schedule[0].scratch_bytes = m.schedule[0].operands[0].byte_offset;
        }) == "manifest: launch 'scan' depends on the round of a loop");
  CHECK(branch([](Manifest &m) { m.steps[2].condition.clear(); }) ==
        "manifest: step 2 is a branch with 0 conditions");
  CHECK(branch([](Manifest &m) {
          m.steps[2].otherwise = UINT32_MAX;
        }).starts_with("manifest: step 2 covers 4294967296 steps"));
  CHECK(branch([](Manifest &m) {
          m.steps[2].condition[0].storage = 9;
        }).starts_with("manifest: step 2 refers to storage 9"));
  CHECK(branch([](Manifest &m) {
          const format::Step nested = {format::Step::Kind::Branch, 0, 1, 0, 0,
                                       m.steps[2].condition};
          std::vector<format::Step> steps(format::kMaxNesting + 1, nested);
          for (size_t i = 0; i < steps.size(); ++i)
            steps[i].body = uint32_t(steps.size() - i);
          steps.push_back(m.steps[1]);
          m.steps = steps;
        }) == "manifest: loops and branches nest deeper than 32");
}

TEST_CASE("indices that refer to nothing are found") {
  auto problem = [](auto change) -> std::string {
    TestModule module = statefulModule();
    change(module.manifest);
    FormatStatus error = validate(module.manifest);
    return error ? error->message : "valid";
  };
  CHECK(problem([](Manifest &) {}) == "valid");
  CHECK(problem([](Manifest &m) {
          m.arena_bytes = 999;
        }).starts_with("manifest: the arena's size refers to expression 999"));
  CHECK(problem([](Manifest &m) { m.exprs[1] = {ExprOp::Add, 0, 1}; }) ==
        "manifest: expression 1 refers to earlier expression 1, but there are 1");
  CHECK(problem([](Manifest &m) {
          m.exprs[1] = {ExprOp::Add, 0, -1};
        }).starts_with("manifest: expression 1 refers to earlier expression 184467"));
  CHECK(problem([](Manifest &m) { m.exprs[1] = {ExprOp::Symbol, 0, 0}; }) ==
        "manifest: expression 1 refers to symbol 0, but there are 0");
  CHECK(problem([](Manifest &m) {
          m.schedule[0].kernel = 5;
        }).starts_with("manifest: launch 'add_' refers to kernel 5"));
  CHECK(problem([](Manifest &m) {
          m.schedule[0].operands[0].storage = 77;
        }).starts_with("manifest: launch 'add_' refers to storage 77"));
  CHECK(problem([](Manifest &m) {
          m.storages[0].index = 2;
        }).starts_with("manifest: storage 0 refers to argument 2"));
  CHECK(problem([](Manifest &m) { m.storages[0] = {StorageKind::Result, 0, 0, 0}; }) ==
        "manifest: storage 0 is a result that has no memory of its own");
  CHECK(problem([](Manifest &m) {
          m.states[0].initial = 1;
        }).starts_with("manifest: state 'total' refers to constant 1"));
  CHECK(problem([](Manifest &m) { m.arguments[0].tensor.strides.clear(); }) ==
        "manifest: argument 'x' has 1 sizes, but 0 strides");
  CHECK(problem([](Manifest &m) { m.arguments[0].alignment = 3; }) ==
        "manifest: argument 'x' has alignment 3");
  CHECK(problem([](Manifest &m) {
          m.symbols = {{"s", 0, 1, 0, 1}};
        }).starts_with("manifest: symbol 's' is read from a dimension"));
  CHECK(problem([](Manifest &m) {
          m.constants[0].offset = 4;
        }).starts_with("manifest: constant 'total' is not aligned"));
}

TEST_CASE("equal input gives equal files, and nothing is left beside them") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "d");
  REQUIRE_FALSE(embeddingModule().write(folder / "d/a.rtm").has_value());
  REQUIRE_FALSE(embeddingModule().write(folder / "d/b.rtm").has_value());
  CHECK(readFile(folder / "d/a.rtm") == readFile(folder / "d/b.rtm"));
  auto error = embeddingModule().write(folder / "missing/a.rtm");
  REQUIRE(error.has_value());
  CHECK(error->kind == FormatErrorKind::Io);
  TestModule wrong = embeddingModule();
  wrong.constants[0].pop_back();
  error = wrong.write(folder / "d/a.rtm");
  REQUIRE(error.has_value());
  CHECK(error->message == "constant 'table' has 320 bytes, but was given 316");
  size_t files = 0;
  for ([[maybe_unused]] auto &entry : std::filesystem::directory_iterator(folder / "d"))
    ++files;
  CHECK(files == 2);
  CHECK(outcome(folder / "d/c.rtm", readFile(folder / "d/a.rtm")) == "ok");
}

TEST_CASE("constants lie where kernels want them") {
  TemporaryFolder folder;
  TestModule module = embeddingModule();
  module.constant("odd", {1.f});
  module.constant("bias", std::vector<float>(33, 2.f));
  REQUIRE_FALSE(module.write(folder / "m.rtm").has_value());
  std::unique_ptr<const ModuleFile> file;
  REQUIRE_FALSE(ModuleFile::open(folder / "m.rtm", file).has_value());
  for (size_t i = 0; i < module.constants.size(); ++i) {
    const auto bytes = file->constant(file->levels().front().constants[i]);
    CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % 64 == 0);
    CHECK(std::memcmp(bytes.data(), module.constants[i].data(), bytes.size()) == 0);
  }
  CHECK(file->trailer().constants_offset % kPageBytes == 0);
  CHECK_FALSE(file->verifyConstants().has_value());
}

TEST_CASE("a module cut short anywhere is an error") {
  TemporaryFolder folder;
  REQUIRE_FALSE(embeddingModule().write(folder / "m.rtm").has_value());
  const std::string bytes = readFile(folder / "m.rtm");
  for (size_t i = 0; i < 50; ++i) {
    const std::string result =
        outcome(folder / "cut.rtm", bytes.substr(0, bytes.size() * i / 50));
    CHECK(result.starts_with("RT_MODULE_"));
  }
  for (size_t less = 1; less <= 70; ++less)
    CHECK(outcome(folder / "cut.rtm", bytes.substr(0, bytes.size() - less))
              .starts_with("RT_MODULE_"));
  CHECK(outcome(folder / "cut.rtm", bytes + "x").starts_with("RT_MODULE_"));
}

TEST_CASE("a flipped bit anywhere is an error") {
  TemporaryFolder folder;
  REQUIRE_FALSE(embeddingModule().write(folder / "m.rtm").has_value());
  const std::string bytes = readFile(folder / "m.rtm");
  std::mt19937 random(3);
  auto flipped = [&](size_t position, unsigned bit) {
    std::string changed = bytes;
    changed[position] = char(changed[position] ^ (1 << bit));
    return outcome(folder / "flip.rtm", changed);
  };
  for (int i = 0; i < 200; ++i)
    CHECK(flipped(random() % bytes.size(), random() % 8).starts_with("RT_MODULE_"));
  for (size_t i = 0; i < sizeof(Trailer); ++i)
    CHECK(flipped(bytes.size() - 1 - i, random() % 8).starts_with("RT_MODULE_"));
}

TEST_CASE("a changed weight is found, unless the caller trusts the file") {
  TemporaryFolder folder;
  REQUIRE_FALSE(embeddingModule().write(folder / "m.rtm").has_value());
  std::string bytes = readFile(folder / "m.rtm");
  Trailer trailer;
  std::memcpy(&trailer, bytes.data() + bytes.size() - sizeof trailer, sizeof trailer);
  bytes[trailer.constants_offset + 5] ^= 1;
  CHECK(outcome(folder / "m.rtm", bytes) ==
        "RT_MODULE_DAMAGED: '" + (folder / "m.rtm").string() +
            "': the checksum of the constants is wrong");
  CHECK(executor::Module::load(folder / "m.rtm", {.verify_constants = false}).ok());
}

TEST_CASE("what is no module, or one for other versions") {
  TemporaryFolder folder;
  const auto path = folder / "m.rtm";
  const std::string name = "'" + path.string() + "': ";
  CHECK(outcome(path, "") ==
        "RT_MODULE_FORMAT: " + name + "is no module file: it has 0 bytes");
  CHECK(outcome(path, std::string(1000, 'x')) ==
        "RT_MODULE_FORMAT: " + name + "is no module file, or its end is missing");
  auto missing = executor::Module::load(folder / "none.rtm", {});
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message == "'" + (folder / "none.rtm").string() +
                                       "': cannot open: No such file or directory");
  CHECK_FALSE(executor::Module::load(folder / "", {}).ok());

  REQUIRE_FALSE(scaleModule().write(path).has_value());
  const std::string bytes = readFile(path);
  CHECK(outcome(path, withTrailer(bytes, [](Trailer &t) { t.format_version = 9; }))
            .starts_with("RT_MODULE_VERSION: " + name + "has format version 9, but "));
  CHECK(outcome(path, withTrailer(bytes, [](Trailer &t) { t.kernel_abi = 7; }))
            .starts_with("RT_MODULE_VERSION: " + name + "has kernel ABI 7, but "));
  // Sections that do not add up, with a checksum that says they were meant so.
  for (auto field : {&Trailer::elf_bytes, &Trailer::constants_offset,
                     &Trailer::constants_bytes, &Trailer::manifest_offset})
    for (uint64_t value : {uint64_t(1), uint64_t(1) << 40, UINT64_MAX, UINT64_MAX - 63})
      CHECK(outcome(path, withTrailer(bytes, [&](Trailer &t) { t.*field = value; }))
                .starts_with("RT_MODULE_DAMAGED: "));
}

TEST_CASE("a module for another machine says what is missing, and can be described") {
  TemporaryFolder folder;
  const auto path = folder / "m.rtm";
  TestModule module = scaleModule();
  module.manifest.cpu = "future";
  module.manifest.features = {"no-such-feature"};
  REQUIRE_FALSE(module.write(path).has_value());
  auto loaded = executor::Module::load(path, {});
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message ==
        "'" + path.string() +
            "': the module was compiled for CPU 'future' and needs no-such-feature, "
            "which this CPU lacks; compile it with a --target-cpu that fits");
  module.manifest.features.clear();
  module.manifest.triple = "riscv64-unknown-linux-gnu";
  REQUIRE_FALSE(module.write(path).has_value());
  loaded = executor::Module::load(path, {});
  REQUIRE_FALSE(loaded.ok());
  CHECK(std::string(core::codeName(loaded.error().code)) == "RT_MODULE_TARGET");
  auto described = executor::Module::load(path, {.describe_only = true});
  REQUIRE(described.ok());
  auto instance = executor::Instance::create(*described);
  REQUIRE_FALSE(instance.ok());
  CHECK(std::string(core::codeName(instance.error().code)) == "RT_MODULE_NOT_RUNNABLE");
}

namespace {

/// Levels of one module, the most demanding first.
std::vector<Manifest> twoLevels(const TestModule &module) {
  std::vector<Manifest> levels{module.manifest, module.manifest};
  levels[0].cpu = "future";
  levels[0].features = {"no-such-feature", "sse2"};
  levels[1].cpu = "base";
  levels[1].features.clear();
  return levels;
}

FormatStatus writeLevels(const std::filesystem::path &path, const TestModule &module,
                         std::span<const Manifest> levels) {
  return writeModuleFile(path, kernelImage(), levels, [&](size_t, size_t index) {
    return std::as_bytes(std::span(module.constants[index]));
  });
}

} // namespace

TEST_CASE("of several levels the first that runs here is chosen") {
  TemporaryFolder folder;
  const auto path = folder / "m.rtm";
  const TestModule module = embeddingModule();
  std::vector<Manifest> levels = twoLevels(module);
  REQUIRE_FALSE(writeLevels(path, module, levels).has_value());
  auto loaded = executor::Module::load(path, {});
  REQUIRE(loaded.ok());
  CHECK((*loaded)->level() == 1);
  CHECK((*loaded)->manifest().cpu == "base");
  executor::LoadOptions options;
  options.cpu_level = "future";
  loaded = executor::Module::load(path, options);
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message ==
        "'" + path.string() +
            "': the module was compiled for CPU 'future' and needs no-such-feature, "
            "which this CPU lacks; compile it with a --target-cpu that fits");
  levels[1].features = {"nor-this"};
  REQUIRE_FALSE(writeLevels(path, module, levels).has_value());
  loaded = executor::Module::load(path, {});
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message ==
        "'" + path.string() +
            "': none of the module's 2 CPU levels can run here; of the least "
            "demanding: the module was compiled for CPU 'base' and needs nor-this, "
            "which this CPU lacks; compile it with a --target-cpu that fits");
  CHECK(executor::Module::load(path, {.describe_only = true}).ok());
}

TEST_CASE("constants that are equal in several levels lie in the file once") {
  TemporaryFolder folder;
  const TestModule module = embeddingModule();
  std::vector<Manifest> levels = twoLevels(module);
  auto size = [&](const ConstantIdentity &identity) {
    layOutConstants(levels, identity);
    REQUIRE_FALSE(writeLevels(folder / "m.rtm", module, levels).has_value());
    std::unique_ptr<const ModuleFile> file;
    REQUIRE_FALSE(ModuleFile::open(folder / "m.rtm", file).has_value());
    CHECK_FALSE(file->verifyConstants().has_value());
    for (const Manifest &level : file->levels())
      for (size_t i = 0; i < module.constants.size(); ++i)
        CHECK(std::memcmp(file->constant(level.constants[i]).data(),
                          module.constants[i].data(), level.constants[i].bytes) == 0);
    return file->trailer().constants_bytes;
  };
  const uint64_t shared = size([](size_t, size_t i) { return std::to_string(i); });
  CHECK(constantsToWrite(levels).size() == module.constants.size());
  const uint64_t apart = size({});
  CHECK(apart > shared);
  CHECK(constantsToWrite(levels).size() == 2 * module.constants.size());
}

TEST_CASE("levels that promise different things are no module") {
  TemporaryFolder folder;
  const TestModule module = embeddingModule();
  auto outcomeOf = [&](const std::function<void(std::vector<Manifest> &)> &spoil) {
    std::vector<Manifest> levels = twoLevels(module);
    spoil(levels);
    auto error = writeLevels(folder / "m.rtm", module, levels);
    // What the writer refuses, the reader refuses, too.
    if (error) {
      std::vector<Manifest> decoded;
      auto damaged = decodeLevels(encodeLevels(levels), decoded);
      REQUIRE(damaged.has_value());
      CHECK(damaged->kind == FormatErrorKind::Damaged);
    }
    return error ? error->message : "ok";
  };
  CHECK(outcomeOf([](auto &) {}) == "ok");
  CHECK(outcomeOf([](auto &levels) { levels.clear(); }) ==
        "expected 1 to 16 CPU levels, but got 0");
  CHECK(outcomeOf([](auto &levels) { levels.resize(17, levels[0]); }) ==
        "expected 1 to 16 CPU levels, but got 17");
  CHECK(outcomeOf([](auto &levels) { levels[1].triple = "x"; }) ==
        "the target for CPU 'base' are others than those for 'future'");
  CHECK(outcomeOf([](auto &levels) { levels[1].symbols[0].name = "x"; }) ==
        "the symbols for CPU 'base' are others than those for 'future'");
  CHECK(outcomeOf([](auto &levels) { levels[1].arguments[0].name = "x"; }) ==
        "the arguments for CPU 'base' are others than those for 'future'");
  CHECK(outcomeOf([](auto &levels) {
          levels[1].results[0].tensor.dtype = DType::F64;
        }) == "the results for CPU 'base' are others than those for 'future'");
}

TEST_CASE("modules in memory") {
  const TestModule module = scaleModule();
  std::vector<std::byte> image;
  REQUIRE_FALSE(
      writeModuleImage(image, {}, std::span(&module.manifest, 1), [](size_t, size_t) {
        return std::span<const std::byte>();
      }).has_value());
  std::vector<std::byte> memory(image.size() + 64);
  std::byte *aligned = memory.data();
  aligned += 64 - reinterpret_cast<uintptr_t>(aligned) % 64;
  std::ranges::copy(image, aligned);
  auto open = [&](std::span<const rtorch_embedded_kernel> kernels) {
    auto opened =
        executor::Module::openEmbedded({aligned, image.size()}, kernels, "m", {});
    return opened.ok() ? "ok" : opened.error().message;
  };
  std::vector<rtorch_embedded_kernel> kernels;
  for (const format::Kernel &kernel : module.manifest.kernels)
    kernels.push_back({kernel.symbol.c_str(), [] {}});
  std::ranges::sort(kernels, {}, [](const rtorch_embedded_kernel &kernel) {
    return std::string_view(kernel.symbol);
  });
  CHECK(open(kernels) == "ok");
  CHECK(open({}) ==
        "'m': kernel 'scale' expected the symbol 'scale', but the image has "
        "none");
  // No damage goes unnoticed.
  for (size_t i = 0; i < image.size(); i += 7) {
    aligned[i] ^= std::byte(4);
    CHECK(open(kernels) != "ok");
    aligned[i] ^= std::byte(4);
  }
}

TEST_CASE("code that is no code, and kernels that are missing") {
  TemporaryFolder folder;
  const auto path = folder / "m.rtm";
  TestModule module = scaleModule();
  const std::vector<std::byte> noElf(100, std::byte(7));
  REQUIRE_FALSE(writeModuleFile(path, noElf, module.manifest, [](size_t) {
                  return std::span<const std::byte>();
                }).has_value());
  auto loaded = executor::Module::load(path, {});
  REQUIRE_FALSE(loaded.ok());
  CHECK(std::string(core::codeName(loaded.error().code)) == "RT_MODULE_LINK");
  module.manifest.kernels[0].symbol = "nothing";
  REQUIRE_FALSE(module.write(path).has_value());
  loaded = executor::Module::load(path, {});
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message ==
        "'" + path.string() +
            "': kernel 'scale' expected the symbol 'nothing', but the image has none");
}

TEST_CASE("a state that does not lie within its storage") {
  TemporaryFolder folder;
  TestModule module = statefulModule();
  module.manifest.states[0].byte_offset = 4;
  REQUIRE_FALSE(module.write(folder / "m.rtm").has_value());
  auto loaded = executor::Module::load(folder / "m.rtm", {});
  REQUIRE_FALSE(loaded.ok());
  CHECK(std::string(core::codeName(loaded.error().code)) == "RT_MODULE_PLAN");
}

TEST_CASE("this CPU's features") {
  CHECK_FALSE(executor::cpuHasFeature("no-such-feature"));
#if defined(__x86_64__)
  __builtin_cpu_init();
  CHECK(executor::cpuHasFeature("sse2"));
  CHECK(executor::cpuHasFeature("avx2") == bool(__builtin_cpu_supports("avx2")));
  CHECK(executor::cpuHasFeature("fma") == bool(__builtin_cpu_supports("fma")));
  CHECK(executor::cpuHasFeature("bmi2") == bool(__builtin_cpu_supports("bmi2")));
  CHECK(executor::cpuHasFeature("avx512f") == bool(__builtin_cpu_supports("avx512f")));
  CHECK(executor::cpuHasFeature("avx512bf16") ==
        bool(__builtin_cpu_supports("avx512bf16")));
  CHECK(executor::cpuHasFeature("lzcnt") == bool(__builtin_cpu_supports("lzcnt")));
  CHECK(executor::cpuHasFeature("popcnt") == bool(__builtin_cpu_supports("popcnt")));
#endif
}
