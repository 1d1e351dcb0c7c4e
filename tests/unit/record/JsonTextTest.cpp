#include "runtime/record/JsonText.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace rtorch::record;

TEST_CASE("strings are escaped", "[json]") {
  CHECK(quote("a\"b\\c") == R"("a\"b\\c")");
  CHECK(quote("\n\x01\x7f") == R"("\u000a\u0001\u007f")");
  CHECK(quote("ümlaut €") == "\"ümlaut €\"");
  // No UTF-8: a lone byte, an overlong sequence, a surrogate, a cut sequence.
  CHECK(quote("\xff") == R"("\ufffd")");
  CHECK(quote("\xc0\xaf") == R"("\ufffd\ufffd")");
  CHECK(quote("\xed\xa0\x80") == R"("\ufffd\ufffd\ufffd")");
  CHECK(quote("x\xe2\x82") == R"("x\ufffd\ufffd")");
}

TEST_CASE("numbers keep their value", "[json]") {
  CHECK(toJson(Value(0.1)) == "0.1");
  CHECK(toJson(Value(1e300)) == "1e+300");
  CHECK(toJson(Value(NAN)) == "\"NaN\"");
  CHECK(toJson(Value(-INFINITY)) == "\"-Infinity\"");
  CHECK(toJson(Value(UINT64_MAX)) == "18446744073709551615");
  CHECK(toJson(Value(INT64_MIN)) == "-9223372036854775808");
}

TEST_CASE("objects keep their order", "[json]") {
  CHECK(toJson(Fields{{"b", true}, {"a", Json{"[1]"}}, {"c", std::string("x")}}) ==
        R"({"b": true, "a": [1], "c": "x"})");
  CHECK(toJson(Fields{}) == "{}");
}
