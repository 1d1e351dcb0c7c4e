// Checked access to JSON that knows where it is, for error messages that name the
// place.
#pragma once

#include "runtime/archive/Error.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace rtorch::importer {

using Json = nlohmann::json;

/// Thrown inside the reader and turned into an Error at its border: a recursive descent
/// of some forty small functions reads far better without a check after each call.
struct ReadFailure {
  std::string message;
};

/// Parses JSON text. Fails on syntax errors (with the byte), and on nesting beyond
/// `maxDepth`, which protects the recursive readers.
archive::Result<Json> parseJson(std::string_view text, unsigned maxDepth = 256);

/// Walks a JSON document. Members and elements are visited by callbacks, during which
/// the place is part of every failure's message.
class JsonReader {
public:
  /// Throws ReadFailure: "graph.nodes[3].target: <what>".
  [[noreturn]] void fail(const std::string &what) const;
  /// Text put in front of the place, e.g. the node's name; empty to remove it.
  void setContext(std::string context) { context_ = std::move(context); }

  /// Visits a member that must be there (null counts as missing).
  template <typename F>
  auto field(const Json &object, std::string_view key, F &&visit) {
    const Json *value = findField(object, key);
    if (!value)
      fail("'" + std::string(key) + "' is missing");
    Scope scope(*this, key);
    return visit(*value);
  }
  /// Visits a member if it is there and not null.
  template <typename F>
  void optionalField(const Json &object, std::string_view key, F &&visit) {
    if (const Json *value = findField(object, key)) {
      Scope scope(*this, key);
      visit(*value);
    }
  }
  template <typename F> void eachElement(const Json &array, F &&visit) {
    expect(array.is_array(), array, "a list");
    for (size_t i = 0; i < array.size(); ++i) {
      Scope scope(*this, i);
      visit(array[i]);
    }
  }
  template <typename F> void eachMember(const Json &object, F &&visit) {
    expect(object.is_object(), object, "an object");
    for (auto it = object.begin(); it != object.end(); ++it) {
      Scope scope(*this, std::string_view(it.key()));
      visit(it.key(), it.value());
    }
  }
  /// Visits the active member of a union: an object with one member that is not null.
  template <typename F> auto unionMember(const Json &value, F &&visit) {
    Json::const_iterator it = activeMember(value);
    std::string_view key = it.key();
    Scope scope(*this, key);
    return visit(key, it.value());
  }
  /// A list with each element read by `read`.
  template <typename F> auto listOf(const Json &array, F &&read) {
    std::vector<decltype(read(array))> result;
    eachElement(array, [&](const Json &item) { result.push_back(read(item)); });
    return result;
  }

  int64_t integer(const Json &value) const;
  /// A number, or one of the strings "Infinity", "-Infinity", "NaN".
  double number(const Json &value) const;
  bool boolean(const Json &value) const;
  const std::string &text(const Json &value) const;

  std::string textField(const Json &object, std::string_view key);
  bool boolField(const Json &object, std::string_view key);

private:
  using Step = std::variant<std::string_view, size_t>;
  struct Scope {
    Scope(JsonReader &reader, Step step) : reader(reader) {
      reader.path_.push_back(step);
    }
    ~Scope() { reader.path_.pop_back(); }
    JsonReader &reader;
  };
  const Json *findField(const Json &object, std::string_view key) const;
  Json::const_iterator activeMember(const Json &value) const;
  void expect(bool condition, const Json &value, std::string_view what) const;

  std::vector<Step> path_;
  std::string context_;
};

} // namespace rtorch::importer
