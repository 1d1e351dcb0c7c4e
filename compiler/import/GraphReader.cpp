#include "compiler/import/GraphReader.h"
#include "compiler/import/GraphBuilder.h"
#include "compiler/import/JsonReader.h"
#include "compiler/import/MetaReader.h"
#include "compiler/import/PinStrides.h"

#include <algorithm>

namespace rtorch::importer {
namespace {

using archive::makeError;
using archive::Result;

constexpr int64_t kSchemaMajor = 8;

/// Reads the whole ExportedProgram of the schema.
class ProgramReader {
public:
  Program read(const Json &root);

private:
  void checkVersion(const Json &root);
  void readSignature(const Json &signature);
  InputSpec readInputSpec(std::string_view kind, const Json &spec);
  OutputSpec readOutputSpec(std::string_view kind, const Json &spec);
  Argument tensorOf(const Json &spec);
  Argument constantOf(const Json &value);
  void checkBinding(const Argument &signature, const Argument &graph,
                    std::string_view what);
  void checkTargets();
  bool hasInput(InputSpec::Kind kind, const std::string &name) const;
  void readRanges(const Json &constraints);
  void addUnconstrainedSymbols();
  void readCallSignature(const Json &moduleCallGraph);

  JsonReader json_;
  SymbolTable symbols_;
  MetaReader metas_{json_, symbols_};
  GraphContext context_{json_, metas_, std::nullopt};
  GraphBuilder builder_{context_};
  Program program_;
};

void ProgramReader::checkVersion(const Json &root) {
  json_.field(root, "schema_version", [&](const Json &version) {
    int64_t major =
        json_.field(version, "major", [&](const Json &v) { return json_.integer(v); });
    if (major != kSchemaMajor)
      json_.fail("the program has schema version " + std::to_string(major) +
                 ", but this importer reads version " + std::to_string(kSchemaMajor) +
                 "; export it again with a PyTorch release that writes it");
    program_.schemaMinor =
        json_.field(version, "minor", [&](const Json &v) { return json_.integer(v); });
  });
}

Argument ProgramReader::tensorOf(const Json &spec) {
  return json_.field(spec, "arg", [&](const Json &arg) -> Argument {
    return json_.field(arg, "name", [&](const Json &name) {
      return TensorRef{builder_.resolve(json_.text(name), ValueKind::Tensor)};
    });
  });
}

Argument ProgramReader::constantOf(const Json &value) {
  return json_.unionMember(value, [&](std::string_view key, const Json &v) -> Argument {
    if (key == "as_none")
      return None{};
    if (key == "as_int")
      return json_.integer(v);
    if (key == "as_float")
      return json_.number(v);
    if (key == "as_string")
      return json_.text(v);
    if (key == "as_bool")
      return json_.boolean(v);
    json_.fail("unknown kind of constant");
  });
}

InputSpec ProgramReader::readInputSpec(std::string_view kind, const Json &spec) {
  using Kind = InputSpec::Kind;
  InputSpec result;
  auto tensorInput = [&](Kind inputKind, std::string_view target) {
    result.kind = inputKind;
    result.argument = tensorOf(spec);
    result.target = json_.textField(spec, target);
  };
  if (kind == "parameter") {
    tensorInput(Kind::Parameter, "parameter_name");
  } else if (kind == "buffer") {
    tensorInput(Kind::Buffer, "buffer_name");
    json_.optionalField(spec, "persistent",
                        [&](auto &v) { result.persistent = json_.boolean(v); });
  } else if (kind == "tensor_constant") {
    tensorInput(Kind::TensorConstant, "tensor_constant_name");
  } else if (kind == "user_input") {
    result.argument = json_.field(
        spec, "arg", [&](const Json &v) { return builder_.uses().read(v); });
  } else if (kind == "constant_input") {
    result.kind = Kind::ConstantInput;
    result.name = json_.textField(spec, "name");
    result.argument =
        json_.field(spec, "value", [&](const Json &v) { return constantOf(v); });
  } else if (kind == "custom_obj") {
    result.kind = Kind::CustomObject;
    result.target = json_.textField(spec, "custom_obj_name");
  } else if (kind == "token") {
    result.kind = Kind::Token;
  } else {
    json_.fail("unknown kind of input");
  }
  return result;
}

OutputSpec ProgramReader::readOutputSpec(std::string_view kind, const Json &spec) {
  using Kind = OutputSpec::Kind;
  struct TensorOutput {
    std::string_view name;
    Kind kind;
    std::string_view target;
  };
  static constexpr TensorOutput kTensorOutputs[] = {
      {"loss_output", Kind::LossOutput, ""},
      {"buffer_mutation", Kind::BufferMutation, "buffer_name"},
      {"parameter_mutation", Kind::ParameterMutation, "parameter_name"},
      {"user_input_mutation", Kind::UserInputMutation, "user_input_name"},
      {"gradient_to_parameter", Kind::GradientToParameter, "parameter_name"},
      {"gradient_to_user_input", Kind::GradientToUserInput, "user_input_name"},
  };
  OutputSpec result;
  if (kind == "user_output") {
    result.argument = json_.field(
        spec, "arg", [&](const Json &v) { return builder_.uses().read(v); });
    return result;
  }
  if (kind == "token") {
    result.kind = Kind::Token;
    return result;
  }
  for (const TensorOutput &candidate : kTensorOutputs) {
    if (kind != candidate.name)
      continue;
    result.kind = candidate.kind;
    result.argument = tensorOf(spec);
    if (!candidate.target.empty())
      result.target = json_.textField(spec, candidate.target);
    return result;
  }
  json_.fail("unknown kind of output");
}

/// The value that an argument names, if it is a single one.
std::optional<ValueId> valueOf(const Argument &argument) {
  if (const auto *tensor = std::get_if<TensorRef>(&argument))
    return tensor->id;
  if (const auto *object = std::get_if<CustomObjectRef>(&argument))
    return object->id;
  if (const auto *number = std::get_if<SymIntRef>(&argument))
    return number->id;
  if (const auto *number = std::get_if<SymFloatRef>(&argument))
    return number->id;
  if (const auto *flag = std::get_if<SymBoolRef>(&argument))
    return flag->id;
  return std::nullopt;
}

void ProgramReader::checkBinding(const Argument &signature, const Argument &graph,
                                 std::string_view what) {
  if (valueOf(signature) != valueOf(graph))
    json_.fail("the signature's " + std::string(what) +
               " is not the one at the same place of the graph");
}

bool ProgramReader::hasInput(InputSpec::Kind kind, const std::string &name) const {
  return std::any_of(
      program_.inputs.begin(), program_.inputs.end(), [&](const InputSpec &input) {
        return input.kind == kind &&
               name == (kind == InputSpec::Kind::UserInput ? input.name : input.target);
      });
}

void ProgramReader::checkTargets() {
  using Out = OutputSpec::Kind;
  using In = InputSpec::Kind;
  for (const OutputSpec &output : program_.outputs) {
    In kind = In::UserInput;
    if (output.kind == Out::BufferMutation)
      kind = In::Buffer;
    else if (output.kind == Out::ParameterMutation ||
             output.kind == Out::GradientToParameter)
      kind = In::Parameter;
    else if (output.kind != Out::UserInputMutation &&
             output.kind != Out::GradientToUserInput)
      continue;
    if (!hasInput(kind, output.target))
      json_.fail("an output is written to '" + output.target +
                 "', which is no such input of the program");
  }
}

void ProgramReader::readSignature(const Json &signature) {
  Graph &graph = program_.graph;
  json_.field(signature, "input_specs", [&](const Json &specs) {
    json_.eachElement(specs, [&](const Json &spec) {
      size_t i = program_.inputs.size();
      if (i >= graph.inputs.size())
        json_.fail("the graph has only " + std::to_string(i) + " inputs");
      InputSpec input =
          json_.unionMember(spec, [&](std::string_view kind, const Json &member) {
            return readInputSpec(kind, member);
          });
      if (input.kind == InputSpec::Kind::CustomObject ||
          input.kind == InputSpec::Kind::Token)
        input.argument = graph.inputs[i];
      checkBinding(input.argument, graph.inputs[i], "input");
      if (std::optional<ValueId> id = valueOf(input.argument))
        input.name = graph.value(*id).name;
      program_.inputs.push_back(std::move(input));
    });
  });
  json_.field(signature, "output_specs", [&](const Json &specs) {
    json_.eachElement(specs, [&](const Json &spec) {
      size_t i = program_.outputs.size();
      if (i >= graph.outputs.size())
        json_.fail("the graph has only " + std::to_string(i) + " outputs");
      OutputSpec output =
          json_.unionMember(spec, [&](std::string_view kind, const Json &member) {
            return readOutputSpec(kind, member);
          });
      if (output.kind == OutputSpec::Kind::Token)
        output.argument = graph.outputs[i];
      checkBinding(output.argument, graph.outputs[i], "output");
      program_.outputs.push_back(std::move(output));
    });
  });
  if (program_.inputs.size() != graph.inputs.size() ||
      program_.outputs.size() != graph.outputs.size())
    json_.fail("it has " + std::to_string(program_.inputs.size()) + " inputs and " +
               std::to_string(program_.outputs.size()) +
               " outputs, but the graph has " + std::to_string(graph.inputs.size()) +
               " and " + std::to_string(graph.outputs.size()));
  checkTargets();
}

void ProgramReader::readRanges(const Json &constraints) {
  json_.eachMember(constraints, [&](const std::string &symbol, const Json &bounds) {
    layout::Range range;
    if (symbols_.positive.count(symbol))
      range.min = 1;
    json_.optionalField(bounds, "min_val",
                        [&](const Json &v) { range.min = json_.integer(v); });
    json_.optionalField(bounds, "max_val",
                        [&](const Json &v) { range.max = json_.integer(v); });
    if (range.min > range.max)
      json_.fail("the range from " + std::to_string(range.min) + " to " +
                 std::to_string(range.max) + " is empty");
    program_.ranges[symbol] = range;
  });
}

void ProgramReader::addUnconstrainedSymbols() {
  for (const std::string &symbol : symbols_.all) {
    layout::Range range;
    if (symbols_.positive.count(symbol))
      range.min = 1;
    program_.ranges.emplace(symbol, range);
  }
}

void ProgramReader::readCallSignature(const Json &moduleCallGraph) {
  json_.eachElement(moduleCallGraph, [&](const Json &entry) {
    std::string module;
    json_.optionalField(entry, "fqn", [&](auto &v) { module = json_.text(v); });
    if (!module.empty())
      return;
    json_.optionalField(entry, "signature", [&](const Json &signature) {
      program_.inSpec = json_.textField(signature, "in_spec");
      program_.outSpec = json_.textField(signature, "out_spec");
      json_.optionalField(signature, "forward_arg_names", [&](const Json &names) {
        program_.forwardArgNames =
            json_.listOf(names, [&](const Json &v) { return json_.text(v); });
      });
    });
  });
}

Program ProgramReader::read(const Json &root) {
  checkVersion(root);
  auto texts = [&](const Json &list) {
    return json_.listOf(list, [&](const Json &v) { return json_.text(v); });
  };
  json_.optionalField(root, "verifiers",
                      [&](const Json &v) { program_.verifiers = texts(v); });
  json_.optionalField(root, "guards_code",
                      [&](const Json &v) { program_.guardsCode = texts(v); });
  json_.optionalField(root, "torch_version",
                      [&](const Json &v) { program_.torchVersion = json_.text(v); });
  json_.optionalField(root, "opset_version", [&](const Json &opsets) {
    json_.eachMember(opsets, [&](const std::string &name, const Json &v) {
      program_.opsets[name] = json_.integer(v);
    });
  });
  json_.field(root, "graph_module", [&](const Json &module) {
    program_.graph = json_.field(
        module, "graph", [&](const Json &graph) { return builder_.build(graph); });
    json_.field(module, "signature",
                [&](const Json &signature) { readSignature(signature); });
    json_.optionalField(module, "module_call_graph",
                        [&](const Json &calls) { readCallSignature(calls); });
  });
  json_.optionalField(root, "range_constraints",
                      [&](const Json &constraints) { readRanges(constraints); });
  addUnconstrainedSymbols();
  program_.hints = std::move(symbols_.hints);
  pinStrideSymbols(program_);
  program_.modelFolder = context_.commonFolder.value_or("");
  shortenSourceFiles(program_.graph, program_.modelFolder);
  return std::move(program_);
}

} // namespace

Result<Program> readProgramJson(std::string_view json, std::string_view name) {
  std::string place = "program '" + std::string(name) + "': ";
  Result<Json> root = parseJson(json);
  if (!root)
    return makeError(place + root.message());
  try {
    Program program = ProgramReader().read(*root);
    program.name = name;
    return program;
  } catch (const ReadFailure &failure) {
    return makeError(place + failure.message);
  }
}

} // namespace rtorch::importer
