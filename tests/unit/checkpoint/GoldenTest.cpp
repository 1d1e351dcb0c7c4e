// The frozen files of every released version of the format.
#include "runtime/format/Text.h"
#include "tests/unit/checkpoint/CheckpointFiles.h"

#include <catch2/catch.hpp>

using namespace rtorch;
using namespace rtorch::checkpoint;
using namespace rtorch::test;

namespace {

const std::filesystem::path kGolden = RTORCH_SOURCE_DIR "/tests/compat/rtch/v1.0";

/// What make_golden.py writes beside each file.
std::string listing(const Checkpoint &file) {
  std::string out;
  for (const NamedTensor &named : file.names()) {
    const TensorEntry &entry = file.entry(named);
    out += format::text(std::string(named.name), " ", entry.dtype->name, " ",
                        core::printList(entry.shape), " ",
                        core::printList(file.strides(named)), " ",
                        int(entry.requires_grad));
    out += named.is_alias ? " " + entry.name + "\n" : "\n";
  }
  return out;
}

bool hasGoldenContent(const Checkpoint &file, const NamedTensor &named) {
  const bool isBool = std::string_view(file.entry(named).dtype->name) == "BOOL";
  const auto bytes = file.bytes(named);
  for (size_t i = 0; i < bytes.size(); ++i)
    if (size_t(bytes[i]) != (isBool ? i % 3 == 1 : (i * 31 + 7) % 251))
      return false;
  return true;
}

} // namespace

TEST_CASE("golden checkpoints are read as they always were") {
  size_t count = 0;
  for (const auto &each : std::filesystem::directory_iterator(kGolden)) {
    std::filesystem::path path = each.path();
    if (path.extension() != ".rtch")
      continue;
    INFO(path);
    auto file = Checkpoint::open(path, Verify::Full);
    REQUIRE(file.ok());
    CHECK(listing(**file) == readFile(path.replace_extension(".txt")));
    for (const NamedTensor &named : (*file)->names())
      CHECK(hasGoldenContent(**file, named));
    ++count;
  }
  CHECK(count == 8);
}

TEST_CASE("what a later minor version adds is told and left out") {
  auto file = Checkpoint::open(kGolden / "later.rtch", Verify::Full);
  REQUIRE(file.ok());
  CHECK((*file)->metadata().warnings ==
        std::vector<std::string>{"'extra' is not understood, and left out",
                                 "'state_of_art' is not understood, and left out",
                                 "'shiny' is not understood, and left out"});
}

TEST_CASE("user entries of a golden file") {
  auto file = Checkpoint::open(kGolden / "names.rtch", Verify::Full);
  REQUIRE(file.ok());
  CHECK((*file)->metadata().user == std::map<std::string, std::string>{
                                        {"epoch", "3"}, {"note", "tab\tand \xC3\xA9"}});
}
