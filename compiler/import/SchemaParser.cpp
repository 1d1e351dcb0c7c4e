#include "compiler/import/SchemaParser.h"

#include <charconv>
#include <cstdlib>
#include <utility>

namespace rtorch::importer {
namespace {

using archive::makeError;
using archive::Result;

struct TypeName {
  std::string_view name;
  SchemaType type;
};
constexpr TypeName kTypeNames[] = {
    {"Tensor", SchemaType::Tensor},
    {"int", SchemaType::Int},
    {"SymInt", SchemaType::SymInt},
    {"float", SchemaType::Float},
    {"bool", SchemaType::Bool},
    {"SymBool", SchemaType::SymBool},
    {"SymFloat", SchemaType::SymFloat},
    {"Scalar", SchemaType::Scalar},
    {"str", SchemaType::String},
    {"ScalarType", SchemaType::ScalarType},
    {"Layout", SchemaType::Layout},
    {"Device", SchemaType::Device},
    {"MemoryFormat", SchemaType::MemoryFormat},
    {"Generator", SchemaType::Generator},
    {"Dimname", SchemaType::Dimname},
    {"Storage", SchemaType::Storage},
    {"Stream", SchemaType::Stream},
    {"QScheme", SchemaType::QScheme},
};

SchemaType typeOf(std::string_view name) {
  for (const TypeName &candidate : kTypeNames)
    if (candidate.name == name)
      return candidate.type;
  return SchemaType::Other;
}

/// Defaults of memory formats are written as c10's numbers.
MemoryFormat memoryFormatFromC10(int64_t number) {
  switch (number) {
  case 0:
    return MemoryFormat::Contiguous;
  case 1:
    return MemoryFormat::Preserve;
  case 2:
    return MemoryFormat::ChannelsLast;
  case 3:
    return MemoryFormat::ChannelsLast3d;
  default:
    return MemoryFormat::Unknown;
  }
}

/// So are those of dtypes; c10 counts from 0 where the export schema counts from 1.
ScalarType scalarTypeFromC10(int64_t number) {
  constexpr int64_t kBool = 11, kBFloat16 = 15;
  if (number == kBFloat16)
    return ScalarType::BFloat16;
  return number >= 0 && number <= kBool ? static_cast<ScalarType>(number + 1)
                                        : ScalarType::Unknown;
}

class SchemaParser {
public:
  explicit SchemaParser(std::string_view text) : text_(text) {}

  bool parse(OpSchema &schema) {
    return parseArguments(schema.arguments) && accept("->") &&
           parseReturns(schema.returns) && (skipSpace(), at_ == text_.size());
  }
  size_t position() const { return at_; }

private:
  void skipSpace() {
    while (at_ < text_.size() && text_[at_] == ' ')
      ++at_;
  }
  bool accept(std::string_view token) {
    skipSpace();
    if (!text_.substr(at_).starts_with(token))
      return false;
    at_ += token.size();
    return true;
  }
  std::string_view word() {
    skipSpace();
    size_t begin = at_;
    auto isWord = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             (c >= '0' && c <= '9') || c == '_' || c == '.';
    };
    while (at_ < text_.size() && isWord(text_[at_]))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }
  bool parseArguments(std::vector<SchemaArgument> &arguments) {
    if (!accept("("))
      return false;
    bool keywordOnly = false, isFirst = true;
    while (!accept(")")) {
      if (!std::exchange(isFirst, false) && !accept(","))
        return false;
      if (accept("*")) {
        keywordOnly = true;
        continue;
      }
      SchemaArgument argument;
      argument.keywordOnly = keywordOnly;
      if (!parseType(argument))
        return false;
      argument.name = word();
      if (argument.name.empty() || (accept("=") && !parseDefault(argument)))
        return false;
      arguments.push_back(std::move(argument));
    }
    return true;
  }
  bool parseReturns(std::vector<SchemaArgument> &returns) {
    if (!accept("(")) {
      returns.emplace_back();
      bool isType = parseType(returns.back());
      returns.back().name = word();
      return isType;
    }
    while (!accept(")")) {
      if (!returns.empty() && !accept(","))
        return false;
      returns.emplace_back();
      if (!parseType(returns.back()))
        return false;
      returns.back().name = word();
    }
    return true;
  }
  /// BASE [ALIAS] [?] [\[N\]] [?]
  bool parseType(SchemaArgument &argument) {
    std::string_view base = word();
    if (base.empty())
      return false;
    argument.type = typeOf(base);
    if (accept("(") && !parseAlias(argument))
      return false;
    bool optional = accept("?");
    if (accept("[")) {
      argument.isList = true;
      argument.hasOptionalElements = optional;
      optional = false;
      if (std::string_view size = word(); !size.empty()) {
        auto [end, error] =
            std::from_chars(size.data(), size.data() + size.size(), argument.listSize);
        if (error != std::errc() || end != size.data() + size.size())
          return false;
      }
      if (!accept("]"))
        return false;
      optional = accept("?");
    }
    argument.isOptional = optional;
    return true;
  }
  /// a)  a!)  a -> *)  a|b)
  bool parseAlias(SchemaArgument &argument) {
    size_t end = text_.find(')', at_);
    if (end == std::string_view::npos)
      return false;
    std::string_view alias = text_.substr(at_, end - at_);
    at_ = end + 1;
    argument.isMutated = alias.find('!') != std::string_view::npos;
    argument.aliasSet = alias.substr(0, alias.find_first_of("! "));
    return true;
  }
  std::optional<int64_t> integer() {
    skipSpace();
    int64_t value = 0;
    const char *begin = text_.data() + at_, *last = text_.data() + text_.size();
    auto [end, error] = std::from_chars(begin, last, value);
    // "1.", "0.5" and "1e-05" are floats.
    if (error != std::errc() || (end != last && (*end == '.' || *end == 'e')))
      return std::nullopt;
    at_ += static_cast<size_t>(end - begin);
    return value;
  }
  bool parseDefault(SchemaArgument &argument) {
    if (accept("None")) {
      argument.defaultValue = None{};
      return true;
    }
    if (accept("True") || text_.substr(at_).starts_with("False")) {
      bool isFalse = accept("False");
      argument.defaultValue = !isFalse;
      return true;
    }
    if (accept("\""))
      return parseString(argument);
    if (accept("["))
      return parseListDefault(argument);
    if (std::optional<int64_t> value = integer())
      return setInteger(argument, *value);
    return parseFloat(argument);
  }
  bool setInteger(SchemaArgument &argument, int64_t value) {
    if (argument.type == SchemaType::MemoryFormat)
      argument.defaultValue = memoryFormatFromC10(value);
    else if (argument.type == SchemaType::ScalarType)
      argument.defaultValue = scalarTypeFromC10(value);
    else if (argument.type == SchemaType::Float && !argument.isList)
      argument.defaultValue = static_cast<double>(value);
    else if (argument.isList)
      argument.defaultValue =
          std::vector<int64_t>(std::max(argument.listSize, 1u), value);
    else
      argument.defaultValue = value;
    return argument.type == SchemaType::Int || argument.type == SchemaType::SymInt ||
           argument.type == SchemaType::Float || argument.type == SchemaType::Scalar ||
           argument.type == SchemaType::MemoryFormat ||
           argument.type == SchemaType::ScalarType;
  }
  bool parseFloat(SchemaArgument &argument) {
    std::string number(text_.substr(at_, 40));
    char *end = nullptr;
    double value = std::strtod(number.c_str(), &end);
    if (end == number.c_str())
      return false;
    at_ += static_cast<size_t>(end - number.c_str());
    argument.defaultValue = value;
    return argument.type == SchemaType::Float || argument.type == SchemaType::Scalar;
  }
  bool parseString(SchemaArgument &argument) {
    std::string value;
    while (at_ < text_.size() && text_[at_] != '"') {
      at_ += text_[at_] == '\\';
      if (at_ < text_.size())
        value += text_[at_++];
    }
    argument.defaultValue = std::move(value);
    return accept("\"") && argument.type == SchemaType::String;
  }
  bool parseListDefault(SchemaArgument &argument) {
    std::vector<int64_t> values;
    while (!accept("]")) {
      if (!values.empty() && !accept(","))
        return false;
      std::optional<int64_t> value = integer();
      if (!value)
        return false;
      values.push_back(*value);
    }
    argument.defaultValue = std::move(values);
    return argument.isList;
  }

  std::string_view text_;
  size_t at_ = 0;
};

} // namespace

Result<OpSchema> parseSchema(std::string_view name, std::string_view text) {
  OpSchema schema;
  schema.name = name;
  SchemaParser parser(text);
  if (!parser.parse(schema))
    return makeError("schema of '" + std::string(name) +
                     "' is not understood at its character " +
                     std::to_string(parser.position()) + ": " + std::string(text));
  return schema;
}

} // namespace rtorch::importer
