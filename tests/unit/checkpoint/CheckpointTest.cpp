// Checkpoints: round trips, what is refused and how it is told.
#include "tests/unit/checkpoint/CheckpointFiles.h"

#include <catch2/catch.hpp>
#include <numeric>

using namespace rtorch;
using namespace rtorch::checkpoint;
using namespace rtorch::test;
using core::DType;

namespace {

/// A tensor with memory of its own: 0, 1, 2, ... in the order of the memory.
struct Owned {
  std::vector<int64_t> sizes, strides;
  std::vector<float> memory;
  Owned(std::vector<int64_t> shape, std::vector<int64_t> steps, size_t count)
      : sizes(std::move(shape)), strides(std::move(steps)), memory(count) {
    std::iota(memory.begin(), memory.end(), 0.0F);
  }
  core::TensorView view() { return {DType::F32, sizes, strides, memory.data()}; }
};

/// All names of a file, separated by spaces.
std::string namesOf(const Checkpoint &file) {
  std::string out;
  for (const NamedTensor &named : file.names())
    out += (out.empty() ? "" : " ") + std::string(named.name);
  return out;
}

std::shared_ptr<const Checkpoint> opened(const std::filesystem::path &path) {
  auto file = Checkpoint::open(path, Verify::Full);
  if (!file.ok())
    FAIL(file.error().message);
  return *file;
}

const char *const kMeta =
    R"({"aliases":[{"name":"tied","of":"w"}],"format":"rtch","kind":"state_dict",)"
    R"("tensors":[{"crc32c":"527d5351","dtype":"U8","layout":"row_major","len":4,)"
    R"("name":"w","off":0,"requires_grad":false,"shape":[2,2]}],)"
    R"("user":{},"writer":"test"})";
const std::string kPayload("\0\0\0\0", 4);

std::string crcText(std::string_view bytes) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x",
                format::crc32c(std::as_bytes(std::span(bytes))));
  return text;
}

/// kMeta with the checksum of its payload.
std::string goodMeta() {
  std::string meta = kMeta;
  return meta.replace(meta.find("527d5351"), 8, crcText(kPayload));
}

/// The error of a file whose metadata have `from` replaced, all checksums right.
std::string codeOfMeta(const std::filesystem::path &path, std::string_view from,
                       std::string_view to, std::string *message = nullptr) {
  std::string meta = goodMeta();
  const size_t at = meta.find(from);
  REQUIRE(at != std::string::npos);
  writeFile(path, sealedFile(meta.replace(at, from.size(), to), kPayload, 1));
  return codeOfOpening(path, message);
}

} // namespace

TEST_CASE("tensors of any strides come back") {
  Folder folder;
  const auto path = folder / "w.rtch";
  Owned rows({2, 3}, {3, 1}, 6), columns({2, 3}, {1, 2}, 6), wide({2, 3}, {6, 2}, 12),
      channels({2, 3, 2, 2}, {12, 1, 6, 3}, 24), scalar({}, {}, 1),
      none({0, 4}, {4, 1}, 0), expanded({3, 2}, {0, 1}, 2);
  std::vector<SavedTensor> tensors = {
      {"rows", rows.view(), true},   {"columns", columns.view()}, {"wide", wide.view()},
      {"channels", channels.view()}, {"scalar", scalar.view()},   {"none", none.view()},
      {"expanded", expanded.view()},
  };
  REQUIRE(save(path, tensors, {{{"k", "v"}}, "test"}).ok());
  const auto file = opened(path);
  CHECK(namesOf(*file) == "channels columns expanded none rows scalar wide");
  CHECK(file->metadata().user == std::map<std::string, std::string>{{"k", "v"}});
  CHECK(file->entry(*file->find("channels")).layout == Storage::ChannelsLast);
  CHECK(file->entry(*file->find("columns")).layout == Storage::RowMajor);
  CHECK(file->entry(*file->find("rows")).requires_grad);
  for (const SavedTensor &saved : tensors) {
    INFO(saved.name);
    // Row-major memory, from both what was saved and what was read.
    const size_t count = file->entry(*file->find(saved.name)).bytes / 4;
    const auto dense = stridesOf(saved.tensor.sizes, Storage::RowMajor);
    std::vector<float> expected(count + 1, -1), got(count + 1, -1);
    const std::vector<ExpectedTensor> target = {
        {saved.name, {DType::F32, saved.tensor.sizes, dense, got.data()}}};
    REQUIRE(load(*file, target, false).ok());
    std::vector<int64_t> index(saved.tensor.sizes.size());
    for (size_t i = 0; i < count; ++i) {
      size_t rest = i;
      int64_t at = 0;
      for (size_t dim = index.size(); dim-- > 0;
           rest /= size_t(saved.tensor.sizes[dim]))
        at +=
            int64_t(rest % size_t(saved.tensor.sizes[dim])) * saved.tensor.strides[dim];
      expected[i] = static_cast<const float *>(saved.tensor.data)[at];
    }
    CHECK(got == expected);
  }
}

TEST_CASE("equal tensors give equal bytes, in whatever order") {
  Folder folder;
  Owned a({2, 3}, {3, 1}, 6), b({4}, {1}, 4);
  const std::vector<SavedTensor> one = {{"a", a.view()}, {"b", b.view()}},
                                 other = {{"b", b.view()}, {"a", a.view()}};
  REQUIRE(save(folder / "1.rtch", one, {{}, "test"}).ok());
  REQUIRE(save(folder / "2.rtch", other, {{}, "test"}).ok());
  CHECK(readFile(folder / "1.rtch") == readFile(folder / "2.rtch"));
}

TEST_CASE("names of the same memory are one tensor") {
  Folder folder;
  Owned a({2, 3}, {3, 1}, 6), copy({2, 3}, {3, 1}, 6);
  core::TensorView transposed = a.view();
  const std::vector<int64_t> sizes = {3, 2}, strides = {1, 3};
  transposed.sizes = sizes;
  transposed.strides = strides;
  const std::vector<SavedTensor> tensors = {{"head", a.view()},
                                            {"embed", a.view()},
                                            {"copy", copy.view()},
                                            {"turned", transposed}};
  REQUIRE(save(folder / "w.rtch", tensors, {{}, "test"}).ok());
  const auto file = opened(folder / "w.rtch");
  CHECK(namesOf(*file) == "copy embed head turned");
  CHECK(file->metadata().tensors.size() == 3);
  CHECK(file->find("head")->is_alias);
  CHECK(file->bytes(*file->find("head")).data() ==
        file->bytes(*file->find("embed")).data());
}

TEST_CASE("each prefix of a file is refused") {
  Folder folder;
  const auto path = folder / "w.rtch";
  const std::string whole = sealedFile(goodMeta(), kPayload, 1);
  writeFile(path, whole);
  REQUIRE(codeOfOpening(path).empty());
  for (size_t size = 0; size < whole.size(); ++size) {
    writeFile(path, std::string_view(whole).substr(0, size));
    const std::string code = codeOfOpening(path);
    if (code != (size < 4 ? "RT_CHECKPOINT_NOT_RTCH" : "RT_CHECKPOINT_TRUNCATED"))
      FAIL(size << " bytes: " << code);
  }
  writeFile(path, whole + '\0');
  CHECK(codeOfOpening(path) == "RT_CHECKPOINT_TRUNCATED");
}

TEST_CASE("each flipped bit is found") {
  Folder folder;
  const auto path = folder / "w.rtch";
  const std::string whole = sealedFile(goodMeta(), kPayload, 1);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = char(flipped[bit / 8] ^ (1 << bit % 8));
    writeFile(path, flipped);
    if (codeOfOpening(path).empty())
      FAIL("bit " << bit << " was flipped, and the file opens");
  }
}

TEST_CASE("metadata that break a rule are refused, with right checksums") {
  Folder folder;
  const auto path = folder / "w.rtch";
  struct Case {
    const char *from, *to, *code;
  };
  const char *meta = "RT_CHECKPOINT_BAD_META", *feature = "RT_CHECKPOINT_FEATURE";
  for (const Case &each : std::vector<Case>{
           {"\"w\",", "\"v\",", meta}, // the alias has no tensor then
           {"\"w\",", "\"tied\",", meta},
           {"\"name\":\"w\"", "\"name\":null", meta},
           {"\"name\":\"w\"", "\"name\":-1", meta},
           {"\"name\":\"w\"", "\"name\":\"\"", meta},
           {"\"name\":\"w\"", "\"name\":\"__metadata__\"", meta},
           {"\"name\":\"w\"", "\"name\":\"\\u0000\"", meta},
           {"\"name\":\"w\"", "\"name\":\"\\u007f\"", meta},
           {"\"name\":\"w\"", "\"nam\":\"w\"", meta},
           {"\"name\":\"tied\"", "\"name\":\"\\n\"", meta},
           {"\"of\":\"w\"", "\"of\":\"tied\"", meta},
           {"\"U8\"", "\"u8\"", meta},
           {"\"U8\"", "\"F32\"", meta},
           {"\"U8\"", "\"I128\"", meta},
           {"\"len\":4", "\"len\":3", meta},
           {"\"len\":4", "\"len\":4.0", meta},
           {"\"len\":4", "\"len\":true", meta},
           {"\"off\":0", "\"off\":64", meta},
           {"\"off\":0", "\"off\":-0", meta},
           {"[2,2]", "[2,-2]", meta},
           {"[2,2]", "[4]", ""},
           {"[2,2]", "[4294967296,4294967296]", meta},
           {"[2,2]", "[0,9007199254740991]", meta},
           {"[2,2]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4]", "RT_CHECKPOINT_LIMIT"},
           {"[2,2]", "\"4\"", meta},
           {"row_major", "channels_last", meta},
           {"row_major", "blocked:nChw16c", feature},
           {"row_major", "columns", meta},
           {"false", "0", meta},
           {"\"rtch\"", "\"rtsh\"", meta},
           {"\"state_dict\"", "\"train_state\"", feature},
           {"\"state_dict\"", "\"pickle\"", meta},
           {"\"user\":{}", "\"user\":{\"a\":1}", meta},
           {"\"user\":{}", "\"user\":{\"a\":\"1\",\"a\":\"2\"}", meta},
           {"\"user\":{}", "\"later\":{\"x\":[1.5]}", ""},
           {"\"writer\":\"test\"", "\"writer\":{}", meta},
           {",\"writer\":\"test\"", "", meta},
           {"\"test\"}", "\"test\"} x", meta},
       }) {
    INFO(each.from << " -> " << each.to);
    std::string message;
    CHECK(codeOfMeta(path, each.from, each.to, &message) == each.code);
    if (*each.code)
      CHECK(message.find("w.rtch'") != std::string::npos);
  }
}

TEST_CASE("the message leads to the value") {
  Folder folder;
  std::string message;
  codeOfMeta(folder / "w.rtch", "\"len\":4", "\"len\":\"4\"", &message);
  CHECK(message.find("/tensors/0/len: expected an integer") != std::string::npos);
}

TEST_CASE("versions and features") {
  Folder folder;
  const auto path = folder / "w.rtch";
  const std::string whole = sealedFile(goodMeta(), kPayload, 1);
  const auto codeWith = [&](auto change) {
    std::string bytes = whole;
    Header header;
    Footer footer;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::memcpy(&footer, bytes.data() + bytes.size() - 64, sizeof footer);
    change(header, footer);
    seal(header, footer);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + bytes.size() - 64, &footer, sizeof footer);
    writeFile(path, bytes);
    return codeOfOpening(path);
  };
  CHECK(codeWith([](Header &, Footer &) {}).empty());
  CHECK(codeWith([](Header &h, Footer &) { h.minor = 7; }).empty());
  CHECK(codeWith([](Header &h, Footer &) { h.compat_flags = 12; }).empty());
  CHECK(codeWith([](Header &h, Footer &) { h.major = 2; }) == "RT_CHECKPOINT_VERSION");
  for (uint32_t bit = 0; bit < 32; ++bit)
    CHECK(codeWith([=](Header &h, Footer &) { h.incompat_flags = 1U << bit; }) ==
          "RT_CHECKPOINT_FEATURE");
  for (uint32_t align : {0U, 1U, 32U, 96U, 131072U, UINT32_MAX})
    CHECK(codeWith([=](Header &h, Footer &) { h.align = align; }) ==
          "RT_CHECKPOINT_BAD_META");
  CHECK(codeWith([](Header &h, Footer &) { h.reserved = 1; }) ==
        "RT_CHECKPOINT_BAD_META");
  CHECK(codeWith([](Header &, Footer &f) { f.reserved2 = 1; }) ==
        "RT_CHECKPOINT_BAD_META");
  CHECK(codeWith([](Header &, Footer &f) { f.tensor_count = 2; }) ==
        "RT_CHECKPOINT_BAD_META");
  CHECK(codeWith([](Header &h, Footer &) { h.meta_bytes = UINT64_MAX; }) ==
        "RT_CHECKPOINT_LIMIT");
  CHECK(codeWith([](Header &h, Footer &) { h.payload_bytes = UINT64_MAX; }) ==
        "RT_CHECKPOINT_TRUNCATED");
  CHECK(codeWith([](Header &, Footer &f) { f.content_id[3] ^= std::byte(1); }) ==
        "RT_CHECKPOINT_BAD_CRC");
}

TEST_CASE("all mismatches are listed at once") {
  Folder folder;
  Owned a({2, 3}, {3, 1}, 6), b({4}, {1}, 4), c({5}, {1}, 5);
  REQUIRE(
      save(folder / "w.rtch",
           std::vector<SavedTensor>{{"a", a.view()}, {"b", b.view()}, {"c", c.view()}},
           {{}, "test"})
          .ok());
  const auto file = opened(folder / "w.rtch");
  core::TensorView half = b.view();
  half.dtype = DType::F16;
  Owned turned({3, 2}, {2, 1}, 6);
  const std::vector<ExpectedTensor> expected = {
      {"a", turned.view()}, {"b", half}, {"d", c.view()}};
  const core::Status status = load(*file, expected, true);
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code == core::ErrorCode::CheckpointMismatch);
  CHECK(status.error().message == "the checkpoint does not fit, 4 differences:\n"
                                  "  'a': expected shape [3, 2], but got [2, 3]\n"
                                  "  'b': expected dtype F16, but got F32\n"
                                  "  'd': missing\n"
                                  "  'c': unexpected");
  CHECK(turned.memory == a.memory); // nothing was copied
  CHECK(compare(*file, std::vector<ExpectedTensor>{{"a", a.view()}}, false).ok());
}

TEST_CASE("a lazily opened file verifies a tensor when it is asked for") {
  Folder folder;
  const auto path = folder / "w.rtch";
  Owned a({4}, {1}, 4), b({4}, {1}, 4);
  REQUIRE(save(path, std::vector<SavedTensor>{{"a", a.view()}, {"b", b.view()}},
               {{}, "test"})
              .ok());
  std::string bytes = readFile(path);
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes[header.payload_offset + 64] ^= 1; // in b
  writeFile(path, bytes);
  CHECK(codeOfOpening(path) == "RT_CHECKPOINT_BAD_CRC");
  auto lazy = Checkpoint::open(path, Verify::Lazy);
  REQUIRE(lazy.ok());
  CHECK((*lazy)->verify(*(*lazy)->find("a")).ok());
  CHECK_FALSE((*lazy)->verify(*(*lazy)->find("b")).ok());
  auto none = Checkpoint::open(path, Verify::None);
  REQUIRE(none.ok());
  CHECK((*none)->verify(*(*none)->find("b")).ok());
}

TEST_CASE("names that are none are not saved") {
  Folder folder;
  Owned a({4}, {1}, 4);
  const auto codeOf = [&](const std::string &one, const std::string &other) {
    const std::vector<SavedTensor> tensors = {{one, a.view()}, {other, a.view()}};
    const core::Status status = save(folder / "w.rtch", tensors, {{}, "test"});
    return std::string(status.ok() ? "" : core::codeName(status.error().code));
  };
  CHECK(codeOf("a", "b").empty());
  for (const std::string &name :
       {std::string(), std::string("a"), std::string(1025, 'x'), std::string("x\n"),
        std::string("\xFF"), std::string("__metadata__")})
    CHECK(codeOf("a", name) == "RT_CHECKPOINT_BAD_META");
}
