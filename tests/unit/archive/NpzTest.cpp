#include "runtime/archive/Npz.h"
#include "runtime/archive/NpyHeader.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace rtorch::archive;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

struct ScratchFolder {
  fs::path path =
      fs::temp_directory_path() / ("rtorch-npz-test-" + std::to_string(::getpid()));
  ScratchFolder() { fs::create_directories(path); }
  ~ScratchFolder() { fs::remove_all(path); }
};

std::string image(const std::string &dict, const std::string &data, int version = 1) {
  std::string text("\x93NUMPY", 6);
  text += static_cast<char>(version);
  text += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    text += static_cast<char>(dict.size() >> (8 * i));
  return text + dict + data;
}

std::string header(const std::string &descr, const std::string &shape,
                   const std::string &fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran +
         ", 'shape': " + shape + ", }\n";
}

Result<NpyArray> parse(const std::string &text) {
  return parseNpy("x", std::as_bytes(std::span(text)), nullptr);
}

std::string refusal(const std::string &text) {
  auto array = parse(text);
  REQUIRE_FALSE(array.ok());
  return array.message();
}

NpyArray filled(const std::string &name, NpyType type, std::vector<int64_t> shape) {
  NpyArray array = NpyArray::zeros(name, type, std::move(shape));
  for (size_t i = 0; i < array.bytes.size(); ++i)
    array.mutableBytes()[i] = static_cast<std::byte>(i * 7);
  return array;
}

} // namespace

TEST_CASE("arrays written are read again, for every type and rank", "[npz]") {
  ScratchFolder folder;
  std::vector<NpyArray> arrays;
  for (NpyType type :
       {NpyType{'b', 1}, NpyType{'i', 1}, NpyType{'i', 2}, NpyType{'i', 4},
        NpyType{'i', 8}, NpyType{'u', 1}, NpyType{'u', 2}, NpyType{'u', 4},
        NpyType{'u', 8}, NpyType{'f', 2}, NpyType{'f', 4}, NpyType{'f', 8}})
    for (std::vector<int64_t> shape :
         {std::vector<int64_t>{}, {0}, {3}, {2, 0, 4}, {2, 3, 4}})
      arrays.push_back(
          filled("z" + std::to_string(arrays.size()), type, std::move(shape)));
  fs::path path = folder.path / "a.npz";
  REQUIRE(writeNpz(path, arrays).ok());
  auto read = readNpz(path);
  REQUIRE(read.ok());
  REQUIRE(read->size() == arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    const NpyArray &a = arrays[i], &b = (*read)[i];
    CHECK(a.name == b.name);
    CHECK(a.type == b.type);
    CHECK(a.shape == b.shape);
    CHECK(b.strides == rowMajorStrides(a.shape));
    REQUIRE(a.bytes.size() == b.bytes.size());
    CHECK(std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin()));
    CHECK(reinterpret_cast<uintptr_t>(b.bytes.data()) % 64 == 0);
  }
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("Fortran order gives column-major strides and moves no byte", "[npz]") {
  auto array = parse(image(header("<i2", "(2, 3)", "True"), "abcdefghijkl"));
  REQUIRE(array.ok());
  CHECK(array->shape == std::vector<int64_t>{2, 3});
  CHECK(array->strides == std::vector<int64_t>{1, 2});
  CHECK(std::memcmp(array->bytes.data(), "abcdefghijkl", 12) == 0);
}

TEST_CASE("versions 2 and 3 have longer headers", "[npz]") {
  for (int version : {2, 3}) {
    auto array = parse(image(header("|u1", "(2,)"), "ab", version));
    REQUIRE(array.ok());
    CHECK(array->numel() == 2);
  }
  CHECK_THAT(refusal(image(header("|u1", "(2,)"), "ab", 4)), Contains("version 4.0"));
}

TEST_CASE("a .npy is read as one array with the file's name", "[npz]") {
  ScratchFolder folder;
  std::ofstream(folder.path / "mask.npy", std::ios::binary)
      << image(header("|b1", "()"), "\1");
  auto arrays = readNpz(folder.path / "mask.npy");
  REQUIRE(arrays.ok());
  CHECK(arrays->at(0).name == "mask");
  CHECK(arrays->at(0).shape.empty());
  CHECK(arrays->at(0).numel() == 1);
}

TEST_CASE("headers out of the format are refused", "[npz]") {
  CHECK_THAT(refusal("x"), Contains("not a .npy file"));
  CHECK_THAT(refusal(image(header(">f4", "(1,)"), "abcd")), Contains("'>f4'"));
  CHECK_THAT(refusal(image(header("<c8", "(1,)"), "abcdefgh")), Contains("'<c8'"));
  CHECK_THAT(refusal(image(header("<f16", "(1,)"), "")), Contains("'<f16'"));
  CHECK_THAT(refusal(image(header("|O", "(1,)"), "")), Contains("'|O'"));
  CHECK_THAT(refusal(image(header("|f4", "(1,)"), "abcd")), Contains("'|f4'"));
  CHECK_THAT(refusal(image(header("<f4", "(-1,)"), "")), Contains("not negative"));
  CHECK_THAT(refusal(image(header("<f4", "(3)"), "")), Contains("','"));
  CHECK_THAT(refusal(image(header("<f4", "(9223372036854775808,)"), "")),
             Contains("int64"));
  CHECK_THAT(refusal(image(header("<f4", "(4294967296, 4294967296)"), "")),
             Contains("overflows"));
  CHECK_THAT(refusal(image(header("<f4", "(9223372036854775807, 2, 0)"), "")),
             Contains("overflows"));
  CHECK_THAT(refusal(image(header("<f4", "(2,)"), "abcd")),
             Contains("need 8 bytes, but the file has 4"));
  CHECK_THAT(refusal(image(header("<f4", "(1,)"), "abcde")), Contains("has 5"));
  CHECK_THAT(refusal(image(header("<f4", "(1,)", "Maybe"), "")),
             Contains("True or False"));
  CHECK_THAT(refusal(image("{'descr': '<f4'}", "")), Contains("lacks"));
  CHECK_THAT(refusal(image("{'descr': '<f4', 'descr': '<f4'}", "")),
             Contains("unexpected key 'descr'"));
  CHECK_THAT(refusal(image("{'descr': [('a', '<f4')]}", "")), Contains("structured"));
  CHECK_THAT(refusal(image(header("|u1", "(0,)") + "x", "")), Contains("end"));
  std::string many = "(";
  for (int i = 0; i < 65; ++i)
    many += "1, ";
  CHECK_THAT(refusal(image(header("|u1", many + ")"), "a")), Contains("64 dimensions"));
}

TEST_CASE("damaged images never crash", "[npz][fuzz]") {
  std::string whole = image(header("<f4", "(2, 1)"), "abcdefgh");
  for (size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(parse(whole.substr(0, size)).ok());
  for (size_t i = 0; i < whole.size() * 8; ++i) {
    std::string damaged = whole;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    (void)parse(damaged);
  }
}

TEST_CASE("arrays that cannot be written are refused, and the file stays", "[npz]") {
  ScratchFolder folder;
  fs::path path = folder.path / "a.npz";
  NpyArray good = filled("good", {'f', 4}, {2, 2});
  REQUIRE(writeNpz(path, {&good, 1}).ok());
  auto refuse = [&](const std::function<void(NpyArray &)> &edit) {
    NpyArray arrays[] = {good, filled("other", {'f', 4}, {2, 2})};
    edit(arrays[1]);
    Status status = writeNpz(path, arrays);
    REQUIRE_FALSE(status.ok());
    return status.message();
  };
  CHECK_THAT(refuse([](NpyArray &a) { a.name = "good"; }), Contains("occurs twice"));
  CHECK_THAT(refuse([](NpyArray &a) { a.name = ""; }), Contains("empty"));
  CHECK_THAT(refuse([](NpyArray &a) { a.name = "x/y"; }), Contains("file name"));
  CHECK_THAT(refuse([](NpyArray &a) { a.strides = {1, 2}; }),
             Contains("not row-major"));
  CHECK_THAT(refuse([](NpyArray &a) { a.shape = {2, 3}; }), Contains("24 bytes"));
  CHECK_THAT(refuse([](NpyArray &a) { a.type = {'f', 3}; }), Contains("not supported"));
  CHECK_THAT(refuse([](NpyArray &a) { a.shape = {INT64_MAX, 2}; }),
             Contains("overflowing"));
  CHECK_THAT(writeNpz(folder.path / "none" / "a.npz", {&good, 1}).message(),
             Contains("temporary file"));
  auto read = readNpz(path);
  REQUIRE(read.ok());
  CHECK(read->size() == 1);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("a header has NumPy's alignment for every rank", "[npz]") {
  for (size_t rank = 0; rank <= 64; ++rank) {
    std::vector<int64_t> shape(rank, 1);
    std::string text = npyHeaderFor({'f', 4}, shape);
    CHECK(text.size() % 64 == 0);
    auto parsed = parseNpyHeader(std::as_bytes(std::span(text)));
    REQUIRE(parsed.ok());
    CHECK(parsed->shape == shape);
    CHECK(parsed->dataOffset == text.size());
  }
}

TEST_CASE("files that NumPy wrote are read, and NumPy reads ours", "[npz][numpy]") {
  const char *folder = std::getenv("RTORCH_NPZ_FOLDER"); // set by numpy_exchange.py
  if (!folder)
    return;
  for (const char *name : {"stored", "deflated"}) {
    auto arrays = readNpz(fs::path(folder) / (std::string(name) + ".npz"));
    INFO((arrays ? "" : arrays.message()));
    REQUIRE(arrays.ok());
    // NumPy reads back what the Fortran-ordered arrays are as well: only row-major
    // arrays are written, so the others are left out.
    std::vector<NpyArray> writable;
    for (NpyArray &array : *arrays)
      if (array.strides == rowMajorStrides(array.shape))
        writable.push_back(std::move(array));
    REQUIRE(writeNpz(fs::path(folder) / (std::string(name) + "_again.npz"), writable));
  }
}
