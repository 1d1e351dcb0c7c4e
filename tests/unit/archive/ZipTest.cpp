#include "runtime/archive/Zip.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <zlib.h>

using namespace rtorch::archive;
using Catch::Contains;

namespace {

std::span<const std::byte> bytesOf(const std::string &text) {
  return std::as_bytes(std::span(text));
}

ZipWriter::Sink appendTo = [](void *context, const void *data, size_t size) {
  static_cast<std::string *>(context)->append(static_cast<const char *>(data), size);
  return true;
};

std::string pack(const std::vector<std::pair<std::string, std::string>> &entries) {
  std::string bytes;
  ZipWriter writer(appendTo, &bytes);
  for (const auto &[name, content] : entries) {
    std::span<const std::byte> piece = bytesOf(content);
    REQUIRE(writer.add(name, {&piece, 1}).ok());
  }
  REQUIRE(writer.finish().ok());
  return bytes;
}

/// The first message that opening the archive or reading one of its entries gives.
std::string refusal(const std::string &archive) {
  auto zip = ZipReader::open(bytesOf(archive));
  if (!zip)
    return zip.message();
  for (const ZipEntry &entry : zip->entries())
    if (auto content = zip->read(entry); !content)
      return content.message();
  return "accepted";
}

template <typename T> void poke(std::string &bytes, size_t at, T value) {
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

size_t directoryOf(const std::string &archive) { return archive.find("PK\1\2"); }

std::string deflated(const std::string &content) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY) ==
          Z_OK);
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// An archive of one deflated entry "a" that claims to hold `size` bytes.
std::string packDeflated(const std::string &content, uint32_t size) {
  std::string archive = pack({{"a", deflated(content)}});
  size_t directory = directoryOf(archive);
  auto crc = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef *>(content.data()), content.size()));
  poke<uint16_t>(archive, 8, 8);
  poke<uint16_t>(archive, directory + 10, 8);
  poke(archive, directory + 16, crc);
  poke(archive, directory + 24, size);
  return archive;
}

/// Puts zip64 records into an archive of one stored entry "a" without other records:
/// sizes and offset in the extra field, and the 64-bit end record.
std::string toZip64(const std::string &content) {
  std::string archive = pack({{"a", content}});
  size_t directory = directoryOf(archive);
  std::string header = archive.substr(directory, 46);
  uint64_t size = content.size(), offset = 0, begin = directory;
  archive.resize(directory);
  poke<uint32_t>(header, 20, 0xffffffff);
  poke<uint32_t>(header, 24, 0xffffffff);
  poke<uint32_t>(header, 42, 0xffffffff);
  poke<uint16_t>(header, 30, 28);
  auto add = [&](auto value) {
    archive.append(reinterpret_cast<const char *>(&value), sizeof value);
  };
  archive += header + "a";
  add(uint16_t(1)), add(uint16_t(24)), add(size), add(size), add(offset);
  uint64_t end = archive.size();
  add(uint32_t(0x06064b50)), add(uint64_t(44)), add(uint16_t(45)), add(uint16_t(45));
  add(uint32_t(0)), add(uint32_t(0)), add(uint64_t(1)), add(uint64_t(1));
  add(end - begin), add(begin);
  add(uint32_t(0x07064b50)), add(uint32_t(0)), add(end), add(uint32_t(1));
  add(uint32_t(0x06054b50)), add(uint32_t(0)), add(uint16_t(0xffff));
  add(uint16_t(0xffff)), add(uint32_t(0xffffffff)), add(uint32_t(0xffffffff));
  add(uint16_t(0));
  return archive;
}

} // namespace

TEST_CASE("what was written is read, in order and aligned", "[zip]") {
  std::string large(100000, 'x');
  std::string archive = pack({{"b", "second"}, {"a/empty", ""}, {"c", large}});
  auto zip = ZipReader::open(bytesOf(archive));
  REQUIRE(zip.ok());
  REQUIRE(zip->entries().size() == 3);
  CHECK(zip->entries()[0].name == "b");
  const char *expected[] = {"second", "", large.c_str()};
  for (size_t i = 0; i < 3; ++i) {
    auto content = zip->read(zip->entries()[i]);
    REQUIRE(content.ok());
    CHECK(content->text() == expected[i]);
    CHECK(content->owner == nullptr);
    auto offset =
        reinterpret_cast<const char *>(content->bytes.data()) - archive.data();
    CHECK(offset % 64 == 0);
  }
  CHECK(zip->find("a/empty") == &zip->entries()[1]);
  CHECK(zip->find("d") == nullptr);
  CHECK(archive == pack({{"b", "second"}, {"a/empty", ""}, {"c", large}}));
}

TEST_CASE("content of several pieces is one entry", "[zip]") {
  std::string archive;
  ZipWriter writer(appendTo, &archive);
  std::string first = "ab", second = "cd";
  std::span<const std::byte> pieces[] = {bytesOf(first), {}, bytesOf(second)};
  REQUIRE(writer.add("x", pieces).ok());
  CHECK_THAT(writer.add("x", pieces).message(), Contains("written twice"));
  CHECK_FALSE(writer.add("", pieces).ok());
  CHECK_FALSE(writer.add("/abs", pieces).ok());
  REQUIRE(writer.finish().ok());
  auto zip = ZipReader::open(bytesOf(archive));
  REQUIRE(zip.ok());
  CHECK(zip->read(zip->entries()[0])->text() == "abcd");
}

TEST_CASE("a sink that fails ends the writing", "[zip]") {
  ZipWriter writer([](void *, const void *, size_t) { return false; }, nullptr);
  std::span<const std::byte> piece;
  CHECK_FALSE(writer.add("x", {&piece, 1}).ok());
  CHECK_FALSE(writer.finish().ok());
}

TEST_CASE("deflated entries are inflated", "[zip]") {
  std::string content(50000, 'q');
  content += "end";
  std::string archive = packDeflated(content, static_cast<uint32_t>(content.size()));
  auto zip = ZipReader::open(bytesOf(archive));
  REQUIRE(zip.ok());
  auto read = zip->read(zip->entries()[0]);
  REQUIRE(read.ok());
  CHECK(read->text() == content);
  CHECK(refusal(packDeflated("", 0)) == "accepted");
}

TEST_CASE("deflated entries that lie about their size are refused", "[zip]") {
  std::string content = "some content that is deflated";
  CHECK_THAT(refusal(packDeflated(content, 5)), Contains("does not inflate"));
  CHECK_THAT(refusal(packDeflated(content, 0)), Contains("does not inflate"));
  CHECK_THAT(refusal(packDeflated(content, 500)), Contains("does not inflate"));
  CHECK_THAT(refusal(packDeflated(content, 0xfffffff0)), Contains("claims to inflate"));
}

TEST_CASE("zip64 records are read", "[zip]") {
  std::string archive = toZip64("sixty-four");
  auto zip = ZipReader::open(bytesOf(archive));
  INFO((zip ? "" : zip.message()));
  REQUIRE(zip.ok());
  CHECK(zip->read(zip->entries()[0])->text() == "sixty-four");
}

TEST_CASE("more entries than 16 bits count are written as zip64", "[zip]") {
  std::vector<std::pair<std::string, std::string>> entries;
  for (int i = 0; i < 66000; ++i)
    entries.emplace_back(std::to_string(i), "");
  std::string archive = pack(entries);
  CHECK(archive.find("PK\6\6") != std::string::npos);
  auto zip = ZipReader::open(bytesOf(archive));
  REQUIRE(zip.ok());
  CHECK(zip->entries().size() == 66000);
  CHECK(zip->find("65999") != nullptr);
}

TEST_CASE("a comment may follow the end record", "[zip]") {
  std::string archive = pack({{"a", "x"}});
  poke<uint16_t>(archive, archive.size() - 2, 7);
  CHECK(refusal(archive + "comment") == "accepted");
  CHECK_THAT(refusal(archive + "longer comment"), Contains("end-of-central-directory"));
}

TEST_CASE("broken archives are refused", "[zip]") {
  const std::string archive = pack({{"a", "first"}, {"b", "other"}});
  const size_t directory = directoryOf(archive), second = directory + 47;
  auto edited = [&](const std::function<void(std::string &)> &edit) {
    std::string copy = archive;
    edit(copy);
    return refusal(copy);
  };
  CHECK(refusal(archive) == "accepted");
  CHECK_THAT(refusal(""), Contains("no end-of-central-directory"));
  CHECK_THAT(refusal("not a zip archive at all, but long enough"),
             Contains("no end-of-central-directory"));
  CHECK_THAT(edited([&](auto &s) { s[64] = 'F'; }), Contains("CRC-32"));
  CHECK_THAT(edited([&](auto &s) { poke<uint16_t>(s, directory + 8, 1); }),
             Contains("'a' is encrypted"));
  CHECK_THAT(edited([&](auto &s) { poke<uint16_t>(s, 6, 1); }),
             Contains("'a' is encrypted"));
  CHECK_THAT(edited([&](auto &s) { poke<uint16_t>(s, directory + 10, 12); }),
             Contains("compression method 12"));
  CHECK_THAT(edited([&](auto &s) { poke<uint32_t>(s, directory + 24, 4); }),
             Contains("two different sizes"));
  CHECK_THAT(edited([&](auto &s) { poke<uint32_t>(s, directory + 42, 3); }),
             Contains("no local header"));
  CHECK_THAT(edited([&](auto &s) { poke<uint32_t>(s, directory + 42, 0x7fffffff); }),
             Contains("outside the file"));
  CHECK_THAT(edited([&](auto &s) { poke<uint16_t>(s, directory + 34, 2); }),
             Contains("several disks"));
  CHECK_THAT(edited([&](auto &s) { s[30] = 'z'; }), Contains("does not agree"));
  CHECK_THAT(edited([&](auto &s) { poke<uint32_t>(s, directory, 0); }),
             Contains("damaged at its byte 0"));
  CHECK_THAT(edited([&](auto &s) { poke<uint16_t>(s, s.size() - 12, 1); }),
             Contains("several disks"));
  CHECK_THAT(edited([&](auto &s) {
               poke<uint16_t>(s, s.size() - 12, 9);
               poke<uint16_t>(s, s.size() - 14, 9);
             }),
             Contains("cannot hold 9 entries"));
  CHECK_THAT(edited([&](auto &s) {
               poke<uint16_t>(s, s.size() - 12, 1);
               poke<uint16_t>(s, s.size() - 14, 1);
             }),
             Contains("more than its entries"));
  CHECK_THAT(edited([&](auto &s) {
               poke<uint32_t>(s, second + 20, 200);
               poke<uint32_t>(s, second + 24, 200);
             }),
             Contains("'b' overlaps the central directory") || Contains("beyond"));
  CHECK_THAT(edited([&](auto &s) {
               poke<uint32_t>(s, directory + 20, 90);
               poke<uint32_t>(s, directory + 24, 90);
             }),
             Contains("'a' overlaps entry 'b'"));
  CHECK_THAT(edited([&](auto &s) {
               poke<uint32_t>(s, directory + 20, 0xffffffff);
               poke<uint32_t>(s, directory + 24, 0xffffffff);
             }),
             Contains("lacks its zip64 sizes"));
  CHECK_THAT(edited([&](auto &s) {
               s[second + 46] = 'a';
               s[s.find('b', 30)] = 'a';
             }),
             Contains("'a' occurs twice"));
}

TEST_CASE("zip64 numbers that overflow are refused", "[zip]") {
  const std::string archive = toZip64("x");
  const size_t extra = directoryOf(archive) + 46 + 1 + 4;
  for (size_t field = 0; field < 3; ++field) {
    for (uint64_t value :
         {UINT64_MAX, UINT64_MAX - 63, uint64_t(1) << 63, uint64_t(900)}) {
      std::string damaged = archive;
      poke(damaged, extra + 8 * field, value);
      CHECK(refusal(damaged) != "accepted");
    }
  }
  size_t end = archive.find("PK\6\6");
  for (size_t at : {end + 24, end + 32, end + 40, end + 48, end + 56 + 8}) {
    std::string damaged = archive;
    poke(damaged, at, UINT64_MAX - 7);
    CHECK(refusal(damaged) != "accepted");
  }
}

TEST_CASE("archives cut short, or with flipped bits, never crash", "[zip][fuzz]") {
  const std::string archives[] = {pack({{"a", "first"}, {"b", "other"}}),
                                  toZip64("content"), packDeflated("content", 7)};
  for (const std::string &archive : archives) {
    for (size_t size = 0; size < archive.size(); ++size)
      CHECK(refusal(archive.substr(0, size)) != "accepted");
    for (size_t i = 0; i < archive.size() * 8; ++i) {
      std::string damaged = archive;
      damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
      (void)refusal(damaged);
    }
  }
}
