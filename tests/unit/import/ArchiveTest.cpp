// Archives that PyTorch wrote (make_archives.py), read whole and damaged.
#include "compiler/import/GraphReader.h"
#include "compiler/import/JsonReader.h"
#include "compiler/import/SchemaTable.h"
#include "runtime/archive/MappedFile.h"
#include "runtime/archive/Zip.h"
#include "tests/unit/import/DumpProgram.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace rtorch::importer;
using namespace rtorch::archive;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = RTORCH_IMPORT_ARCHIVES;

/// The archives are made by a test of their own, which needs Python with PyTorch.
bool haveArchives() {
  bool have = fs::exists(kFolder / "data_core.pt2");
  if (!have)
    WARN("no archives in " << kFolder << ": run ctest with RTORCH_PYTHON set");
  return have;
}

std::string readFile(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A file of the test's own that goes when the test ends.
struct ScratchFile {
  fs::path path = fs::temp_directory_path() /
                  ("rtorch-import-test-" + std::to_string(::getpid()) + ".pt2");
  explicit ScratchFile(const std::string &content) { write(content); }
  ~ScratchFile() { fs::remove(path); }
  void write(const std::string &content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
};

using Entries = std::vector<std::pair<std::string, std::string>>;

Entries unpack(const fs::path &path) {
  auto file = MappedFile::open(path);
  REQUIRE(file.ok());
  auto zip = ZipReader::open((*file)->bytes());
  REQUIRE(zip.ok());
  Entries entries;
  for (const ZipEntry &entry : zip->entries()) {
    auto content = zip->read(entry);
    REQUIRE(content.ok());
    entries.emplace_back(entry.name, content->text());
  }
  return entries;
}

std::string pack(const Entries &entries) {
  std::string bytes;
  ZipWriter writer(
      [](void *context, const void *data, size_t size) {
        static_cast<std::string *>(context)->append(static_cast<const char *>(data),
                                                    size);
        return true;
      },
      &bytes);
  for (const auto &[name, content] : entries) {
    std::span<const std::byte> piece = std::as_bytes(std::span(content));
    REQUIRE(writer.add(name, {&piece, 1}).ok());
  }
  REQUIRE(writer.finish().ok());
  return bytes;
}

/// The message with which shared.pt2 is refused after its entries were edited.
template <typename Edit> std::string refusal(Edit &&edit) {
  Entries entries = unpack(kFolder / "shared.pt2");
  edit(entries);
  ScratchFile file(pack(entries));
  auto program = readProgram(file.path);
  REQUIRE_FALSE(program.ok());
  return program.message();
}

std::string &entry(Entries &entries, const std::string &name) {
  auto it = std::find_if(entries.begin(), entries.end(),
                         [&](const auto &e) { return e.first.ends_with(name); });
  REQUIRE(it != entries.end());
  return it->second;
}

void editJson(std::string &text, const std::string &pointer, const Json &value) {
  Json json = Json::parse(text);
  json.at(Json::json_pointer(pointer)) = value;
  text = json.dump();
}

const char kConfig[] = "model_weights_config.json";

} // namespace

TEST_CASE("every value, argument and payload is what PyTorch holds", "[archive]") {
  if (!haveArchives())
    return;
  size_t compared = 0;
  for (const auto &file : fs::directory_iterator(kFolder)) {
    if (file.path().extension() != ".txt")
      continue;
    fs::path archive = file.path();
    archive.replace_extension(".pt2");
    INFO(archive);
    auto program = readProgram(archive);
    INFO((program ? "" : program.message()));
    REQUIRE(program.ok());
    REQUIRE(completeArguments(program->graph).ok());
    CHECK(dumpProgram(*program) == readFile(file.path()));
    ++compared;
  }
  CHECK(compared >= 22);
}

TEST_CASE("shared storages are one, and payloads lie in place", "[archive]") {
  if (!haveArchives())
    return;
  auto program = readProgram(kFolder / "shared.pt2");
  REQUIRE(program.ok());
  const Payload &low = program->weights.at("low"), &high = program->weights.at("high");
  CHECK(low.storage == high.storage);
  CHECK(low.bytes.data() == high.bytes.data());
  CHECK(low.bytes.size() == 240);
  CHECK(high.meta.offset.isConstant(12));
  const Payload &turned = program->weights.at("turned");
  CHECK(turned.storage != low.storage);
  CHECK(turned.meta.strides == std::vector<rtorch::layout::Expr>{1, 8});
  for (const auto &[name, payload] : program->weights) {
    INFO(name);
    CHECK(payload.aligned);
    CHECK(payload.isParameter);
  }
}

TEST_CASE("sub-graphs of higher-order ops are read and completed", "[archive]") {
  if (!haveArchives())
    return;
  auto program = readProgram(kFolder / "nograd.pt2");
  REQUIRE(program.ok());
  REQUIRE(completeArguments(program->graph).ok());
  const Node &wrap = program->graph.nodes.at(0);
  CHECK(wrap.op == "higher_order.wrap_with_set_grad_enabled");
  CHECK(wrap.isHigherOrder());
  const Graph &body = *std::get<GraphRef>(wrap.arguments.at(1).value).graph;
  REQUIRE(body.nodes.size() == 2);
  CHECK(std::get<int64_t>(*body.nodes[1].find("alpha")) == 1);
  REQUIRE(body.nodes[0].source);
  CHECK(body.nodes[0].source->file == "make_archives.py");
}

TEST_CASE("nodes know the user's source line", "[archive]") {
  if (!haveArchives())
    return;
  auto program = readProgram(kFolder / "mlp.pt2");
  REQUIRE(program.ok());
  REQUIRE(program->graph.nodes.size() == 3);
  for (const Node &node : program->graph.nodes) {
    REQUIRE(node.source);
    CHECK(node.source->file == "make_archives.py");
    CHECK(node.source->function == "forward");
    CHECK(node.source->code == "return self.fc2(torch.relu(self.fc1(x)))");
  }
  CHECK(program->graph.nodes[2].modulePath == "fc2");
  CHECK(program->forwardArgNames == std::vector<std::string>{"x"});
}

TEST_CASE("the root folder need not be the file's name", "[archive]") {
  if (!haveArchives())
    return;
  ScratchFile file(readFile(kFolder / "mlp.pt2"));
  CHECK(readProgram(file.path).ok());
  CHECK(readProgram(file.path, "model").ok());
  CHECK_THAT(readProgram(file.path, "other").message(),
             Contains("no program 'other'; it holds 'model'"));
}

TEST_CASE("archives that are no .pt2 are refused", "[archive]") {
  if (!haveArchives())
    return;
  CHECK_THAT(readProgram("/nonexistent.pt2").message(), Contains("cannot open"));
  CHECK_THAT(readProgram(kFolder).message(), Contains("not a regular file"));
  CHECK_THAT(readProgram(kFolder / "mlp.txt").message(),
             Contains("not a readable zip archive"));
  CHECK_THAT(refusal([](Entries &e) { e.clear(); }), Contains("empty"));
  CHECK_THAT(refusal([](Entries &e) { e = {{"a.txt", "x"}}; }),
             Contains("not in a root folder"));
  CHECK_THAT(refusal([](Entries &e) { e = {{"r/a.txt", "x"}}; }),
             Contains("'r/archive_format' is missing"));
  CHECK_THAT(refusal([](Entries &e) { entry(e, "archive_format") = "zip"; }),
             Contains("'archive_format' is 'zip', expected 'pt2'"));
  CHECK_THAT(refusal([](Entries &e) { entry(e, "archive_version") = "1"; }),
             Contains("'archive_version' is '1'"));
  CHECK_THAT(refusal([](Entries &e) { entry(e, "byteorder") = "big"; }),
             Contains("'byteorder' is 'big'"));
  CHECK_THAT(refusal([](Entries &e) {
               std::erase_if(e,
                             [](auto &x) { return x.first.ends_with("model.json"); });
             }),
             Contains("holds no exported program"));
}

TEST_CASE("payloads are checked against what the program says", "[archive]") {
  if (!haveArchives())
    return;
  CHECK_THAT(refusal([](Entries &e) { entry(e, "models/model.json") = "{"; }),
             Contains("not valid JSON"));
  CHECK_THAT(refusal([](Entries &e) {
               editJson(entry(e, "models/model.json"), "/schema_version/major", 7);
             }),
             Contains("schema version 7"));
  CHECK_THAT(refusal([](Entries &e) {
               std::string &weight = entry(e, "data/weights/weight_0");
               weight.resize(weight.size() - 1);
             }),
             Contains("weight_0") && Contains("239 bytes") && Contains("needs 240"));
  CHECK_THAT(refusal([](Entries &e) {
               editJson(entry(e, kConfig), "/config/low/path_name", "weight_99");
             }),
             Contains("weight_99' is missing"));
  CHECK_THAT(refusal([](Entries &e) {
               editJson(entry(e, kConfig), "/config/low/use_pickle", true);
             }),
             Contains("config.low") && Contains("pickle"));
  CHECK_THAT(refusal([](Entries &e) {
               editJson(entry(e, kConfig), "/config/low/tensor_meta/dtype", 8);
             }),
             Contains("needs 288") || Contains("the graph expects"));
  CHECK_THAT(refusal([](Entries &e) {
               Json json = Json::parse(entry(e, kConfig));
               json["config"].erase("low");
               entry(e, kConfig) = json.dump();
             }),
             Contains("'low', which the program uses, is missing"));
  CHECK_THAT(refusal([](Entries &e) {
               editJson(entry(e, kConfig), "/config/low/tensor_meta/sizes/0/as_int",
                        INT64_MAX);
             }),
             Contains("overflows"));
}

TEST_CASE("archives cut short are refused", "[archive][fuzz]") {
  if (!haveArchives())
    return;
  std::string whole = readFile(kFolder / "shared.pt2");
  ScratchFile file("");
  for (size_t i = 0; i < 100; ++i) {
    file.write(whole.substr(0, whole.size() * i / 100));
    CHECK_FALSE(readProgram(file.path).ok());
  }
  file.write(whole.substr(0, whole.size() - 1));
  CHECK_FALSE(readProgram(file.path).ok());
}

TEST_CASE("flipped bytes in the archive are refused or harmless", "[archive][fuzz]") {
  if (!haveArchives())
    return;
  std::string whole = readFile(kFolder / "shared.pt2");
  auto original = readProgram(kFolder / "shared.pt2");
  REQUIRE(original.ok());
  std::string expected = dumpProgram(*original);
  ScratchFile file("");
  size_t refused = 0, tried = 0;
  // More of the directory, which lies at the end, than of the rest.
  const size_t directory = whole.size() - 2500;
  for (size_t i = 0; i < whole.size(); i += i < directory ? 31 : 5) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ (1u << (i % 8)));
    file.write(damaged);
    auto program = readProgram(file.path);
    ++tried;
    refused += !program.ok();
    // Flips in padding, dates or entries that are not read change nothing.
    if (program) {
      INFO("byte " << i);
      CHECK(dumpProgram(*program) == expected);
    }
  }
  CHECK(refused > tried / 4);
}

TEST_CASE("flipped bytes in the JSON never crash the reader", "[archive][fuzz]") {
  if (!haveArchives())
    return;
  Entries entries = unpack(kFolder / "dynamic.pt2");
  const std::string json = entry(entries, "models/model.json");
  const std::string config = entry(entries, kConfig);
  ScratchFile file("");
  uint32_t random = 1;
  for (size_t i = 0; i < 400; ++i) {
    Entries damaged = entries;
    std::string &text = entry(damaged, i % 2 ? kConfig : "models/model.json");
    for (size_t flips = 0; flips < 1 + i % 3; ++flips) {
      random = random * 1664525 + 1013904223;
      text[(random >> 8) % text.size()] ^= static_cast<char>(1u << (random >> 5) % 8);
    }
    file.write(pack(damaged));
    if (auto program = readProgram(file.path))
      (void)completeArguments(program->graph);
  }
  SUCCEED();
}
