// The Argument union of the schema from JSON.
#pragma once

#include "compiler/import/Graph.h"
#include "compiler/import/JsonReader.h"

#include <functional>
#include <string>

namespace rtorch::importer {

class MetaReader;

/// The kinds of values that arguments name; each has a table of its own in the JSON.
enum class ValueKind : uint8_t { Tensor, SymInt, SymFloat, SymBool, CustomObject };

/// Reads arguments; `resolve` turns a name into a value (it fails for an unknown one),
/// `subgraph` reads a nested graph.
class ArgumentReader {
public:
  using Resolve = std::function<ValueId(const std::string &name, ValueKind kind)>;
  using Subgraph = std::function<std::shared_ptr<Graph>(const Json &graph)>;

  ArgumentReader(JsonReader &json, MetaReader &metas, Resolve resolve,
                 Subgraph subgraph)
      : json_(json), metas_(metas), resolve_(std::move(resolve)),
        subgraph_(std::move(subgraph)) {}

  Argument read(const Json &value);

private:
  Argument readMember(std::string_view key, const Json &value);
  Argument readList(std::string_view key, const Json &value);
  Argument readSpecial(std::string_view key, const Json &value);
  TensorRef tensor(const Json &value);
  std::optional<TensorRef> optionalTensor(const Json &value);
  template <typename T, typename ReadConstant>
  ScalarOperand<T> scalar(const Json &value, ValueKind kind,
                          std::string_view constantKey, ReadConstant &&readConstant);
  SymIntRef symInt(const Json &value);
  SymFloatRef symFloat(const Json &value);
  SymBoolRef symBool(const Json &value);

  JsonReader &json_;
  MetaReader &metas_;
  Resolve resolve_;
  Subgraph subgraph_;
};

} // namespace rtorch::importer
