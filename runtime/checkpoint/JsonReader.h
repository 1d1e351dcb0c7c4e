// Strict JSON (RFC 8259), read value by value: nothing is built that the caller does
// not keep, so a hostile document costs no more memory than its own length.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rtorch::checkpoint {

/// Values nest no deeper.
inline constexpr size_t kMaxDepth = 32;
/// Integers are at most 2^53 - 1: every JSON implementation keeps those exactly.
inline constexpr uint64_t kMaxInteger = (uint64_t(1) << 53) - 1;

/// Walks one document. The first thing that cannot be stops it: all later reads give
/// empty values, and callbacks are not called any more.
class JsonReader final {
public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  /// The members of an object: `member(key)` must read the value. Keys that occur twice
  /// are refused.
  template <typename Member> void object(Member &&member);
  /// The elements of an array: `element(index)` must read one.
  template <typename Element> void array(Element &&element);
  /// Decoded; valid UTF-8.
  std::string string();
  /// A number from 0 to kMaxInteger, written as digits alone.
  uint64_t integer();
  bool boolean();
  /// Any value, checked and left out.
  void skip();
  /// Nothing may be left but white space.
  void finish();

  bool failed() const { return !problem_.empty(); }
  /// Refuses what was read; the JSON pointer of the value goes before the message.
  void fail(std::string_view message);
  /// "/tensors/3/off: expected ..."
  const std::string &problem() const { return problem_; }

private:
  void space();
  bool take(char expected);
  char peek();
  bool enter(char bracket);
  bool beginElement(bool first, char end);
  bool literal(std::string_view word);
  void number();
  void digits();
  void escape(std::string &out);
  uint32_t hex4();

  std::string_view text_;
  size_t position_ = 0;
  std::vector<std::string> path_;
  std::string problem_;
};

/// Length of the UTF-8 sequence that `text` begins with; 0 if it is none.
size_t utf8Length(std::string_view text);
bool isUtf8(std::string_view text);

/// Adds the string in quotes: control characters, quotes and backslashes escaped.
void appendJson(std::string &out, std::string_view text);

template <typename Member> void JsonReader::object(Member &&member) {
  if (!enter('{'))
    return;
  std::set<std::string> keys;
  for (bool first = true; beginElement(first, '}'); first = false) {
    std::string key = string();
    if (failed())
      return;
    path_.push_back(key);
    if (!keys.insert(key).second)
      fail("the key occurs twice");
    else if (take(':'))
      member(key);
    if (failed())
      return;
    path_.pop_back();
  }
}

template <typename Element> void JsonReader::array(Element &&element) {
  if (!enter('['))
    return;
  size_t index = 0;
  for (; beginElement(index == 0, ']'); ++index) {
    path_.push_back(std::to_string(index));
    element(index);
    if (failed())
      return;
    path_.pop_back();
  }
}

} // namespace rtorch::checkpoint
