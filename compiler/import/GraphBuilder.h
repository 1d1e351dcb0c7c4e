// One graph of the schema from JSON, with names resolved.
#pragma once

#include "compiler/import/ArgumentReader.h"
#include "compiler/import/Graph.h"
#include "compiler/import/JsonReader.h"
#include "compiler/import/MetaReader.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace rtorch::importer {

/// What all graphs of a program share while they are read.
struct GraphContext {
  JsonReader &json;
  MetaReader &metas;
  /// Of all source files of the user seen so far.
  std::optional<std::string> commonFolder;
};

/// Reads one graph; sub-graphs are read by builders of their own, since names are
/// local.
class GraphBuilder {
public:
  explicit GraphBuilder(GraphContext &context);

  Graph build(const Json &graph);

  /// The value of that name in the graph that was built; fails if there is none.
  ValueId resolve(const std::string &name, ValueKind kind);
  /// Reads arguments that name values of the graph that was built.
  ArgumentReader &uses() { return uses_; }

private:
  using ValueType = decltype(Value::type);

  void readTables(const Json &graph);
  ValueId define(const std::string &name, ValueKind kind);
  Node readNode(const Json &node);
  NamedArgument readInput(const Json &input);
  void readMetadata(const Json &metadata, Node &node);
  std::shared_ptr<Graph> readSubgraph(const Json &graph);

  GraphContext &context_;
  JsonReader &json_;
  ArgumentReader uses_, definitions_;
  std::map<std::pair<ValueKind, std::string>, ValueType> declared_;
  std::unordered_map<std::string, ValueId> defined_;
  std::optional<uint32_t> producer_;
  Graph graph_;
};

/// Makes the source files of all nodes relative to `folder`.
void shortenSourceFiles(Graph &graph, const std::string &folder);

} // namespace rtorch::importer
