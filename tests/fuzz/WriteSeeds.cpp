// Writes manifests and module files, small ones of each kind, into $RTORCH_SEEDS.
#include "runtime/format/ManifestCodec.h"
#include "tests/unit/runtime/TestModules.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

using namespace rtorch;

TEST_CASE("write the seeds") {
  const char *variable = std::getenv("RTORCH_SEEDS");
  REQUIRE(variable != nullptr);
  const std::filesystem::path folder = variable;
  std::filesystem::create_directories(folder / "manifest");
  std::filesystem::create_directories(folder / "module");
  const std::pair<const char *, test::TestModule> modules[] = {
      {"scale", test::scaleModule()},       {"embedding", test::embeddingModule()},
      {"stateful", test::statefulModule()}, {"sums", test::runningSumsModule()},
      {"loop", test::loopModule()},         {"branch", test::branchModule()},
  };
  for (auto [name, module] : modules) {
    // Modules are only described, so their code may be anything.
    const std::array<std::byte, 64> code = {};
    CHECK_FALSE(format::writeModuleFile(folder / "module" / name, code, module.manifest,
                                        [&](size_t index) {
                                          return std::as_bytes(
                                              std::span(module.constants[index]));
                                        })
                    .has_value());
    const auto bytes = format::encode(module.manifest);
    std::ofstream(folder / "manifest" / name, std::ios::binary)
        .write(reinterpret_cast<const char *>(bytes.data()),
               std::streamsize(bytes.size()));
  }
}
