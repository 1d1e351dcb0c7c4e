#include "runtime/checkpoint/JsonReader.h"

namespace rtorch::checkpoint {

size_t utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const size_t length = lead < 0x80   ? 1
                        : lead < 0xC2 ? 0
                        : lead < 0xE0 ? 2
                        : lead < 0xF0 ? 3
                        : lead < 0xF5 ? 4
                                      : 0;
  if (length == 0 || length > text.size())
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80)
      return 0;
  const bool overlong =
      (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
  const bool too_large = lead == 0xF4 && byte(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

bool isUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8Length(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

void appendJson(std::string &out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      constexpr const char *digits = "0123456789abcdef";
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

namespace {

void appendUtf8(std::string &out, uint32_t code) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xC0 | (code >> 6));
    out += char(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += char(0xE0 | (code >> 12));
    out += char(0x80 | ((code >> 6) & 0x3F));
    out += char(0x80 | (code & 0x3F));
  } else {
    out += char(0xF0 | (code >> 18));
    out += char(0x80 | ((code >> 12) & 0x3F));
    out += char(0x80 | ((code >> 6) & 0x3F));
    out += char(0x80 | (code & 0x3F));
  }
}

bool isDigit(char c) { return c >= '0' && c <= '9'; }

} // namespace

void JsonReader::fail(std::string_view message) {
  if (failed())
    return;
  // As a JSON pointer (RFC 6901); keys may be long, and the message need not be.
  constexpr size_t kLongest = 64;
  for (const std::string &part : path_) {
    problem_ += '/';
    for (const char c : std::string_view(part).substr(0, kLongest)) {
      if (c == '~')
        problem_ += "~0";
      else if (c == '/')
        problem_ += "~1";
      else
        problem_ += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
  }
  if (path_.empty())
    problem_ += "the document";
  problem_ += ": ";
  problem_ += message;
}

void JsonReader::space() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
      return;
    ++position_;
  }
}

char JsonReader::peek() {
  space();
  return position_ < text_.size() ? text_[position_] : '\0';
}

bool JsonReader::take(char expected) {
  if (failed())
    return false;
  if (peek() == expected && position_ < text_.size()) {
    ++position_;
    return true;
  }
  const char wanted[] = {'\'', expected, '\'', '\0'};
  fail("at byte " + std::to_string(position_) + ": expected " + wanted);
  return false;
}

bool JsonReader::enter(char bracket) {
  if (path_.size() >= kMaxDepth) {
    fail("values nest deeper than " + std::to_string(kMaxDepth));
    return false;
  }
  return take(bracket);
}

bool JsonReader::beginElement(bool first, char end) {
  if (failed())
    return false;
  if (peek() == end && position_ < text_.size()) {
    ++position_;
    return false;
  }
  return first || take(',');
}

uint32_t JsonReader::hex4() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = position_ < text_.size() ? text_[position_] : '\0';
    uint32_t digit = 16;
    if (isDigit(c))
      digit = uint32_t(c - '0');
    else if (c >= 'a' && c <= 'f')
      digit = uint32_t(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F')
      digit = uint32_t(c - 'A') + 10;
    if (digit == 16) {
      fail("expected four hexadecimal digits after \\u");
      return 0;
    }
    value = value * 16 + digit;
    ++position_;
  }
  return value;
}

/// What follows a backslash.
void JsonReader::escape(std::string &out) {
  constexpr std::string_view kNames = "\"\\/bfnrt", kCharacters = "\"\\/\b\f\n\r\t";
  const char c = position_ < text_.size() ? text_[position_++] : '\0';
  if (const size_t at = c ? kNames.find(c) : std::string_view::npos;
      at != std::string_view::npos) {
    out += kCharacters[at];
    return;
  }
  if (c != 'u')
    return fail("expected an escape that JSON has");
  uint32_t code = hex4();
  if (code >= 0xD800 && code < 0xDC00) {
    const bool pair = text_.substr(position_, 2) == "\\u";
    position_ += pair ? 2 : 0;
    const uint32_t low = pair ? hex4() : 0;
    if (low < 0xDC00 || low >= 0xE000)
      return fail("half of a surrogate pair");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code < 0xE000) {
    return fail("half of a surrogate pair");
  }
  appendUtf8(out, code);
}

std::string JsonReader::string() {
  std::string out;
  if (!take('"'))
    return out;
  while (!failed()) {
    if (position_ >= text_.size()) {
      fail("a string has no end");
      break;
    }
    const char c = text_[position_];
    if (c == '"') {
      ++position_;
      return out;
    }
    if (c == '\\') {
      ++position_;
      escape(out);
      continue;
    }
    const size_t length = utf8Length(text_.substr(position_));
    if (length == 0 || static_cast<unsigned char>(c) < 0x20) {
      fail("at byte " + std::to_string(position_) +
           ": expected UTF-8 without control characters");
      break;
    }
    out += text_.substr(position_, length);
    position_ += length;
  }
  return {};
}

uint64_t JsonReader::integer() {
  if (failed())
    return 0;
  const char first = peek();
  uint64_t value = 0;
  size_t count = 0;
  for (; position_ < text_.size() && isDigit(text_[position_]) && count < 17; ++count)
    value = value * 10 + uint64_t(text_[position_++] - '0');
  const char next = position_ < text_.size() ? text_[position_] : '\0';
  if (count == 0 || (first == '0' && count > 1) || value > kMaxInteger ||
      isDigit(next) || next == '.' || next == 'e' || next == 'E') {
    fail("expected an integer from 0 to 2^53 - 1");
    return 0;
  }
  return value;
}

bool JsonReader::literal(std::string_view word) {
  if (text_.substr(position_, word.size()) != word)
    return false;
  position_ += word.size();
  return true;
}

bool JsonReader::boolean() {
  if (failed())
    return false;
  (void)peek();
  if (literal("true"))
    return true;
  if (!literal("false"))
    fail("expected true or false");
  return false;
}

void JsonReader::digits() {
  const size_t begin = position_;
  while (position_ < text_.size() && isDigit(text_[position_]))
    ++position_;
  if (position_ == begin)
    fail("expected a number as JSON writes it");
}

void JsonReader::number() {
  const auto at = [&] { return position_ < text_.size() ? text_[position_] : '\0'; };
  if (at() == '-')
    ++position_;
  if (at() == '0') {
    ++position_;
    if (isDigit(at()))
      fail("expected a number without leading zeros");
  } else {
    digits();
  }
  if (at() == '.') {
    ++position_;
    digits();
  }
  if (at() == 'e' || at() == 'E') {
    ++position_;
    if (at() == '+' || at() == '-')
      ++position_;
    digits();
  }
}

void JsonReader::skip() {
  if (failed())
    return;
  switch (peek()) {
  case '{':
    return object([&](const std::string &) { skip(); });
  case '[':
    return array([&](size_t) { skip(); });
  case '"':
    (void)string();
    return;
  default:
    if (!literal("true") && !literal("false") && !literal("null"))
      number();
  }
}

void JsonReader::finish() {
  space();
  if (position_ != text_.size())
    fail("at byte " + std::to_string(position_) + ": expected the end");
}

} // namespace rtorch::checkpoint
