#include "compiler/import/JsonReader.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rtorch::importer {
namespace {

/// The deepest nesting of lists and objects; a cheap scan, so that the parser and the
/// readers need not count. Strings may hold brackets.
size_t nestingOf(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (inString) {
      i += c == '\\';
      inString = c != '"';
    } else if (c == '"') {
      inString = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

/// The beginning of a value, for messages.
std::string excerpt(const Json &value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

} // namespace

archive::Result<Json> parseJson(std::string_view text, unsigned maxDepth) {
  if (nestingOf(text) > maxDepth)
    return archive::makeError("the JSON nests more than " + std::to_string(maxDepth) +
                              " deep");
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error &error) {
    return archive::makeError("not valid JSON at its byte " +
                              std::to_string(error.byte));
  } catch (const Json::exception &error) {
    // A number beyond the range of double.
    return archive::makeError(std::string("not readable JSON: ") + error.what());
  }
}

void JsonReader::fail(const std::string &what) const {
  std::string place;
  for (const Step &step : path_) {
    if (const auto *key = std::get_if<std::string_view>(&step))
      place.append(place.empty() ? "" : ".").append(*key);
    else
      place.append("[").append(std::to_string(std::get<size_t>(step))).append("]");
  }
  std::string message = context_.empty() ? "" : context_ + ": ";
  message += place.empty() ? what : place + ": " + what;
  throw ReadFailure{std::move(message)};
}

void JsonReader::expect(bool condition, const Json &value,
                        std::string_view what) const {
  if (!condition)
    fail("expected " + std::string(what) + ", but got " + excerpt(value));
}

const Json *JsonReader::findField(const Json &object, std::string_view key) const {
  expect(object.is_object(), object, "an object");
  auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Json::const_iterator JsonReader::activeMember(const Json &value) const {
  expect(value.is_object(), value, "an object with one member");
  Json::const_iterator active = value.end();
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (it->is_null())
      continue;
    expect(active == value.end(), value, "an object with one member");
    active = it;
  }
  expect(active != value.end(), value, "an object with one member");
  return active;
}

int64_t JsonReader::integer(const Json &value) const {
  bool tooLarge = value.is_number_unsigned() &&
                  value.get<uint64_t>() >
                      static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  expect(value.is_number_integer() && !tooLarge, value, "an integer of 64 bits");
  return value.get<int64_t>();
}

double JsonReader::number(const Json &value) const {
  if (value.is_number())
    return value.get<double>();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (value == "Infinity")
    return infinity;
  if (value == "-Infinity")
    return -infinity;
  expect(value == "NaN", value, "a number, \"Infinity\", \"-Infinity\" or \"NaN\"");
  return std::numeric_limits<double>::quiet_NaN();
}

bool JsonReader::boolean(const Json &value) const {
  expect(value.is_boolean(), value, "true or false");
  return value.get<bool>();
}

const std::string &JsonReader::text(const Json &value) const {
  expect(value.is_string(), value, "a string");
  return value.get_ref<const std::string &>();
}

std::string JsonReader::textField(const Json &object, std::string_view key) {
  return field(object, key, [&](const Json &value) { return text(value); });
}

bool JsonReader::boolField(const Json &object, std::string_view key) {
  return field(object, key, [&](const Json &value) { return boolean(value); });
}

} // namespace rtorch::importer
