// What the strict reader takes and refuses.
#include "runtime/checkpoint/JsonReader.h"

#include <catch2/catch.hpp>

using rtorch::checkpoint::JsonReader;

namespace {

/// "" where the document is JSON, else what is wrong.
std::string problemOf(std::string_view text) {
  JsonReader reader(text);
  reader.skip();
  reader.finish();
  return reader.problem();
}

std::string stringOf(std::string_view text) {
  JsonReader reader(text);
  std::string out = reader.string();
  reader.finish();
  return reader.failed() ? "failed" : out;
}

bool isInteger(std::string_view text) {
  JsonReader reader(text);
  (void)reader.integer();
  reader.finish();
  return !reader.failed();
}

std::string nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

} // namespace

TEST_CASE("JSON is taken") {
  for (const char *text :
       {"{}", "[]", " [ 1 , -2.5e+3 , 0, -0, 1E5 ] ", "\"\\u00e9\\n\"", "null", "true",
        "false", R"({"a":{"a":[{"b":1},{"b":2}]},"b":null})", "\"\xF0\x9F\x98\x80\""}) {
    INFO(text);
    CHECK(problemOf(text).empty());
  }
  CHECK(problemOf(nested(32)).empty());
}

TEST_CASE("what is no JSON is refused") {
  for (const char *text : {"",
                           "{",
                           "[1,]",
                           "[1 2]",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{a:1}",
                           "{\"a\":1,}",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "1e",
                           "NaN",
                           "Infinity",
                           "-",
                           "'a'",
                           "\"a",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\ud800\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "\"\x01\"",
                           "\"\xC0\xAF\"",
                           "\"\xED\xA0\x80\"",
                           "\"\xF5\x80\x80\x80\"",
                           "[] []",
                           "nul",
                           "\xEF\xBB\xBF{}",
                           "{\"a\":1,\"a\":2}",
                           R"({"a":1,"\u0061":2})",
                           "[1}"}) {
    INFO(text);
    CHECK_FALSE(problemOf(text).empty());
  }
  CHECK(problemOf(nested(33)).find("nest deeper than 32") != std::string::npos);
  CHECK(problemOf(std::string("[\0]", 3)) != "");
  CHECK(problemOf(std::string(1'000'000, '[')) != "");
}

TEST_CASE("a problem has the pointer of its value") {
  CHECK(problemOf(R"({"a/b":[0,{"c~":tru}]})").starts_with("/a~1b/1/c~0: "));
}

TEST_CASE("strings are decoded") {
  CHECK(stringOf(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(stringOf(R"("\u0041\u00e9\u20ac\ud83d\ude00")") ==
        "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  CHECK(stringOf("12") == "failed");
}

TEST_CASE("integers are digits up to 2^53 - 1") {
  for (const char *text : {"0", "7", "9007199254740991"})
    CHECK(isInteger(text));
  for (const char *text : {"-0", "-1", "00", "01", "1.0", "1e3", "9007199254740992",
                           "18446744073709551616", "99999999999999999999999", "\"1\"",
                           "true", "null", ""}) {
    INFO(text);
    CHECK_FALSE(isInteger(text));
  }
}
