#include "runtime/archive/NpyHeader.h"
#include "runtime/archive/ZipFormat.h"

#include <charconv>
#include <cstring>
#include <string_view>

namespace rtorch::archive {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kMaxRank = 64; // NumPy's own limit

/// Reads the Python literal of the header.
class HeaderParser {
public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Status parse(NpyHeader &header) {
    bool seen[3] = {};
    if (!accept('{'))
      return unexpected("'{'");
    while (!accept('}')) {
      std::string key;
      if (!string(key) || !accept(':'))
        return unexpected("a key and ':'");
      int index = key == "descr"           ? 0
                  : key == "fortran_order" ? 1
                  : key == "shape"         ? 2
                                           : -1;
      if (index < 0 || seen[index])
        return makeError("unexpected key '" + key + "' in the header");
      seen[index] = true;
      Status value = index == 0   ? descr(header)
                     : index == 1 ? fortranOrder(header)
                                  : shape(header);
      if (!value)
        return value;
      if (!accept(',')) {
        if (!accept('}'))
          return unexpected("',' or '}'");
        break;
      }
    }
    skipSpace();
    if (at_ != text_.size())
      return unexpected("the header's end");
    if (!seen[0] || !seen[1] || !seen[2])
      return makeError("the header lacks descr, fortran_order or shape");
    return {};
  }

private:
  Status unexpected(const char *expected) const {
    return makeError("damaged header: expected " + std::string(expected) +
                     " at its character " + std::to_string(at_));
  }
  void skipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n'))
      ++at_;
  }
  bool accept(char c) {
    skipSpace();
    if (at_ >= text_.size() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }
  bool acceptWord(std::string_view word) {
    skipSpace();
    if (!text_.substr(at_).starts_with(word))
      return false;
    at_ += word.size();
    return true;
  }
  bool string(std::string &value) {
    skipSpace();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"'))
      return false;
    size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos)
      return false;
    value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }
  Status descr(NpyHeader &header) {
    std::string text;
    if (!string(text))
      return makeError("structured element types are not supported");
    auto unsupported = [&] {
      return makeError("element type '" + text +
                       "' is not supported; expected bool, (unsigned) integers of 1 to "
                       "8 bytes or floats of 2, 4 or 8 bytes, little endian");
    };
    if (text.size() < 3)
      return unsupported();
    NpyType type{text[1], 0};
    auto [end, error] =
        std::from_chars(text.data() + 2, text.data() + text.size(), type.width);
    if (error != std::errc() || end != text.data() + text.size() || !type.isSupported())
      return unsupported();
    // '|' means that byte order does not apply, '=' never gets into files.
    if (text[0] != '<' && !(text[0] == '|' && type.width == 1))
      return unsupported();
    header.type = type;
    return {};
  }
  Status fortranOrder(NpyHeader &header) {
    header.fortranOrder = acceptWord("True");
    if (!header.fortranOrder && !acceptWord("False"))
      return unexpected("True or False");
    return {};
  }
  Status shape(NpyHeader &header) {
    if (!accept('('))
      return unexpected("'('");
    while (!accept(')')) {
      skipSpace();
      int64_t size = 0;
      const char *begin = text_.data() + at_, *last = text_.data() + text_.size();
      auto [end, error] = std::from_chars(begin, last, size);
      if (error != std::errc() || size < 0 || *begin == '-')
        return unexpected("a size that is not negative and fits in int64");
      at_ += static_cast<size_t>(end - begin);
      header.shape.push_back(size);
      if (header.shape.size() > kMaxRank)
        return makeError("more than " + std::to_string(kMaxRank) + " dimensions");
      bool comma = accept(',');
      // "(3)" is a number, not a tuple; NumPy writes "(3,)".
      if (!comma && header.shape.size() == 1)
        return unexpected("','");
      if (!comma) {
        if (!accept(')'))
          return unexpected("',' or ')'");
        break;
      }
    }
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
};

} // namespace

bool startsWithNpyMagic(std::span<const std::byte> image) {
  return image.size() >= kMagic.size() &&
         std::memcmp(image.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<NpyHeader> parseNpyHeader(std::span<const std::byte> image) {
  if (!startsWithNpyMagic(image) || image.size() < 10)
    return makeError("not a .npy file: the magic number is missing");
  auto major = static_cast<unsigned>(image[6]), minor = static_cast<unsigned>(image[7]);
  if (major < 1 || major > 3 || minor != 0)
    return makeError(".npy format version " + std::to_string(major) + "." +
                     std::to_string(minor) + " is not supported; expected 1.0 to 3.0");
  size_t begin = major == 1 ? 10 : 12;
  if (image.size() < begin)
    return makeError("the header is cut short");
  size_t length =
      major == 1 ? zip::load<uint16_t>(image, 8) : zip::load<uint32_t>(image, 8);
  if (!zip::fits(begin, length, image.size()))
    return makeError("the header is cut short");
  NpyHeader header;
  header.dataOffset = begin + length;
  std::string_view text(reinterpret_cast<const char *>(image.data()) + begin, length);
  if (Status status = HeaderParser(text).parse(header); !status)
    return status.error();
  return header;
}

std::string npyHeaderFor(NpyType type, std::span<const int64_t> shape) {
  std::string text = "{'descr': '";
  text += type.width == 1 ? '|' : '<';
  text += type.str() + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  text += shape.size() == 1 ? ",), }" : "), }";
  size_t prefix = text.size() + 1 + 10 > 0xffff ? 12 : 10;
  size_t total = (prefix + text.size() + 1 + 63) / 64 * 64;
  text.append(total - prefix - text.size() - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header += prefix == 10 ? '\1' : '\2';
  header += '\0';
  for (size_t i = 0; i < prefix - 8; ++i)
    header += static_cast<char>(text.size() >> (8 * i));
  return header + text;
}

std::optional<int64_t> npyByteSize(NpyType type, std::span<const int64_t> shape) {
  int64_t bytes = type.width;
  bool isEmpty = false;
  for (int64_t size : shape) {
    if (size < 0)
      return std::nullopt;
    isEmpty |= size == 0;
    if (size != 0 && __builtin_mul_overflow(bytes, size, &bytes))
      return std::nullopt;
  }
  return isEmpty ? 0 : bytes;
}

} // namespace rtorch::archive
