#include "compiler/import/GraphBuilder.h"
#include "compiler/import/SourceTrace.h"

namespace rtorch::importer {
namespace {

std::string_view kindName(ValueKind kind) {
  switch (kind) {
  case ValueKind::Tensor:
    return "tensor";
  case ValueKind::SymInt:
    return "symbolic int";
  case ValueKind::SymFloat:
    return "symbolic float";
  case ValueKind::SymBool:
    return "symbolic bool";
  case ValueKind::CustomObject:
    return "custom object";
  }
  return "value";
}

/// In the order of ValueKind, as Value::type's alternatives are.
size_t alternativeOf(ValueKind kind) { return static_cast<size_t>(kind); }

std::string opName(const std::string &target) {
  constexpr std::string_view kPrefix = "torch.ops.";
  return target.starts_with(kPrefix) ? target.substr(kPrefix.size()) : target;
}

/// The module's path in the last entry of "key,path,class;key,path,class".
std::string innermostModule(std::string_view stack) {
  std::string_view last = stack.substr(stack.rfind(';') + 1); // npos + 1 is 0
  size_t first = last.find(',');
  if (first == std::string_view::npos || last.starts_with("_empty_nn_module_stack"))
    return {};
  std::string_view path = last.substr(first + 1);
  return std::string(path.substr(0, path.find(',')));
}

template <typename F> void eachSubgraph(Argument &argument, F &&visit) {
  if (auto *nested = std::get_if<GraphRef>(&argument))
    visit(*nested->graph);
  if (auto *map = std::get_if<std::shared_ptr<ArgumentMap>>(&argument))
    for (auto &[name, entry] : (*map)->entries)
      eachSubgraph(entry, visit);
}

} // namespace

GraphBuilder::GraphBuilder(GraphContext &context)
    : context_(context), json_(context.json),
      uses_(
          json_, context.metas,
          [this](const std::string &name, ValueKind kind) {
            return resolve(name, kind);
          },
          [this](const Json &graph) { return readSubgraph(graph); }),
      definitions_(
          json_, context.metas,
          [this](const std::string &name, ValueKind kind) {
            return define(name, kind);
          },
          [this](const Json &graph) { return readSubgraph(graph); }) {}

std::shared_ptr<Graph> GraphBuilder::readSubgraph(const Json &graph) {
  return std::make_shared<Graph>(GraphBuilder(context_).build(graph));
}

void GraphBuilder::readTables(const Json &graph) {
  MetaReader &metas = context_.metas;
  auto table = [&](std::string_view key, ValueKind kind, auto &&read) {
    json_.optionalField(graph, key, [&](const Json &members) {
      json_.eachMember(members, [&](const std::string &name, const Json &value) {
        declared_.emplace(std::pair(kind, name), read(value));
      });
    });
  };
  table("tensor_values", ValueKind::Tensor,
        [&](const Json &value) { return metas.tensorMeta(value); });
  table("sym_int_values", ValueKind::SymInt,
        [&](const Json &value) { return metas.symInt(value); });
  table("sym_float_values", ValueKind::SymFloat,
        [&](const Json &value) { return metas.symFloat(value); });
  table("sym_bool_values", ValueKind::SymBool,
        [&](const Json &value) { return metas.symBool(value); });
  table("custom_obj_values", ValueKind::CustomObject, [&](const Json &value) {
    return CustomObject{json_.textField(value, "class_fqn")};
  });
}

ValueId GraphBuilder::resolve(const std::string &name, ValueKind kind) {
  auto it = defined_.find(name);
  if (it == defined_.end())
    json_.fail("'" + name + "' names no value that is defined before");
  if (graph_.values[it->second].type.index() != alternativeOf(kind))
    json_.fail("'" + name + "' is not a " + std::string(kindName(kind)));
  return it->second;
}

ValueId GraphBuilder::define(const std::string &name, ValueKind kind) {
  auto declared = declared_.find({kind, name});
  if (declared == declared_.end())
    json_.fail("'" + name + "' is not in the graph's table of " +
               std::string(kindName(kind)) + " values");
  auto id = static_cast<ValueId>(graph_.values.size());
  if (!defined_.emplace(name, id).second)
    json_.fail("'" + name + "' is defined twice");
  graph_.values.push_back({name, std::move(declared->second), producer_});
  return id;
}

NamedArgument GraphBuilder::readInput(const Json &input) {
  NamedArgument argument;
  argument.name = json_.textField(input, "name");
  argument.value =
      json_.field(input, "arg", [&](const Json &value) { return uses_.read(value); });
  json_.optionalField(input, "kind", [&](const Json &kind) {
    argument.keyword = json_.integer(kind) == 2; // ArgumentKind.KEYWORD
  });
  return argument;
}

void GraphBuilder::readMetadata(const Json &metadata, Node &node) {
  json_.optionalField(metadata, "stack_trace", [&](const Json &trace) {
    std::vector<TraceFrame> frames = parseStackTrace(json_.text(trace));
    for (const TraceFrame &frame : frames)
      if (frame.isUser)
        extendCommonFolder(context_.commonFolder, frame.location.file);
    node.source = chooseFrame(frames);
  });
  json_.optionalField(metadata, "nn_module_stack", [&](const Json &stack) {
    node.modulePath = innermostModule(json_.text(stack));
  });
}

Node GraphBuilder::readNode(const Json &value) {
  Node node;
  node.target = json_.textField(value, "target");
  node.op = opName(node.target);
  json_.optionalField(value, "name",
                      [&](const Json &name) { node.name = json_.text(name); });
  json_.setContext("node '" + node.name + "' (" + node.op + ")");
  node.arguments = json_.field(value, "inputs", [&](const Json &inputs) {
    return json_.listOf(inputs, [&](const Json &input) { return readInput(input); });
  });
  node.outputs = json_.field(value, "outputs", [&](const Json &outputs) {
    return json_.listOf(outputs, [&](const Json &v) { return definitions_.read(v); });
  });
  json_.optionalField(value, "metadata",
                      [&](const Json &metadata) { readMetadata(metadata, node); });
  json_.setContext({});
  return node;
}

Graph GraphBuilder::build(const Json &graph) {
  readTables(graph);
  graph_.inputs = json_.field(graph, "inputs", [&](const Json &inputs) {
    return json_.listOf(inputs, [&](const Json &v) { return definitions_.read(v); });
  });
  json_.field(graph, "nodes", [&](const Json &nodes) {
    json_.eachElement(nodes, [&](const Json &node) {
      producer_ = static_cast<uint32_t>(graph_.nodes.size());
      graph_.nodes.push_back(readNode(node));
    });
  });
  graph_.outputs = json_.field(graph, "outputs", [&](const Json &outputs) {
    return json_.listOf(outputs, [&](const Json &v) { return uses_.read(v); });
  });
  json_.optionalField(graph, "is_single_tensor_return", [&](const Json &flag) {
    graph_.isSingleTensorReturn = json_.boolean(flag);
  });
  return graph_;
}

void shortenSourceFiles(Graph &graph, const std::string &folder) {
  for (Node &node : graph.nodes) {
    if (node.source)
      node.source->file = relativeFile(node.source->file, folder);
    for (NamedArgument &argument : node.arguments)
      eachSubgraph(argument.value,
                   [&](Graph &nested) { shortenSourceFiles(nested, folder); });
  }
}

} // namespace rtorch::importer
