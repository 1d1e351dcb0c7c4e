// Writes manifests and module files, small ones of each kind, into $RTORCH_SEEDS, and
// what the golden checkpoints are made of.
#include "runtime/checkpoint/FileFrame.h"
#include "runtime/format/ManifestCodec.h"
#include "tests/unit/runtime/TestModules.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

using namespace rtorch;

namespace {

std::filesystem::path folderOf(const char *variable) {
  const char *value = std::getenv(variable);
  REQUIRE(value != nullptr);
  return value;
}

} // namespace

TEST_CASE("write the seeds of checkpoints") {
  const std::filesystem::path folder = folderOf("RTORCH_SEEDS");
  std::filesystem::create_directories(folder / "checkpoint");
  std::filesystem::create_directories(folder / "checkpoint_meta");
  for (const auto &entry :
       std::filesystem::recursive_directory_iterator(folderOf("RTORCH_GOLDEN"))) {
    if (entry.path().extension() != ".rtch")
      continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    checkpoint::Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::filesystem::path name = entry.path().stem();
    std::ofstream(folder / "checkpoint" / name, std::ios::binary) << bytes;
    std::ofstream(folder / "checkpoint_meta" / name, std::ios::binary)
        << bytes.substr(sizeof header, header.meta_bytes);
  }
}

TEST_CASE("write the seed of a module of two levels") {
  const std::filesystem::path folder = folderOf("RTORCH_SEEDS");
  std::filesystem::create_directories(folder / "module");
  const test::TestModule module = test::loopModule();
  std::vector<format::Manifest> levels(2, module.manifest);
  levels[0].cpu = "other";
  format::layOutConstants(levels, [](size_t, size_t i) { return std::to_string(i); });
  const std::array<std::byte, 64> code = {};
  CHECK_FALSE(format::writeModuleFile(folder / "module" / "levels", code, levels,
                                      [&](size_t, size_t index) {
                                        return std::as_bytes(
                                            std::span(module.constants[index]));
                                      })
                  .has_value());
}

TEST_CASE("write the seeds of modules") {
  const std::filesystem::path folder = folderOf("RTORCH_SEEDS");
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
