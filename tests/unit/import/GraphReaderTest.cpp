// The graph reader on JSON written by hand: what is accepted, what is refused and how.
#include "compiler/import/GraphReader.h"
#include "compiler/import/JsonReader.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace rtorch::importer;
using rtorch::layout::Expr;

namespace {

Json tensorMeta(const Json &sizes, const Json &strides) {
  return {{"dtype", 7},
          {"sizes", sizes},
          {"strides", strides},
          {"storage_offset", {{"as_int", 0}}},
          {"requires_grad", false},
          {"device", {{"type", "cpu"}, {"index", nullptr}}},
          {"layout", 7}};
}

Json number(int64_t value) { return {{"as_int", value}}; }
Json symbol(const std::string &name, int64_t hint) {
  return {{"as_expr",
           {{"expr_str", "Symbol('" + name + "', positive=True, integer=True)"},
            {"hint", {{"as_int", hint}}}}}};
}
Json tensorArgument(const std::string &name) {
  return {{"as_tensor", {{"name", name}}}};
}

/// y = x * 2, with x: [s0, 4], and an unused constant input.
Json sample() {
  Json meta = tensorMeta({symbol("s0", 3), number(4)}, {number(4), number(1)});
  Json node = {
      {"name", "y"},
      {"target", "torch.ops.aten.mul.Tensor"},
      {"inputs",
       {{{"name", "self"}, {"arg", tensorArgument("x")}, {"kind", 1}},
        {{"name", "other"}, {"arg", {{"as_float", 2.0}}}, {"kind", 1}}}},
      {"outputs", {tensorArgument("y")}},
      {"metadata",
       {{"stack_trace", "File \"/m/net.py\", line 7, in forward\n    y = x * 2"},
        {"nn_module_stack", "L__self__,,Net;L__self___act,act,Act"}}}};
  Json graph = {{"inputs", {tensorArgument("x"), {{"as_bool", true}}}},
                {"outputs", {tensorArgument("y")}},
                {"nodes", {node}},
                {"tensor_values", {{"x", meta}, {"y", meta}}},
                {"sym_int_values", Json::object()},
                {"sym_bool_values", Json::object()}};
  Json signature = {
      {"input_specs",
       {{{"user_input", {{"arg", tensorArgument("x")}}}},
        {{"constant_input", {{"name", "flag"}, {"value", {{"as_bool", true}}}}}}}},
      {"output_specs", {{{"user_output", {{"arg", tensorArgument("y")}}}}}}};
  return {{"schema_version", {{"major", 8}, {"minor", 99}}},
          {"verifiers", {"TRAINING"}},
          {"torch_version", "2.13.0"},
          {"range_constraints", {{"s0", {{"min_val", 2}, {"max_val", nullptr}}}}},
          {"unknown_key", {1, 2, 3}},
          {"graph_module", {{"graph", graph}, {"signature", signature}}}};
}

Program accept(const Json &json) {
  auto program = readProgramJson(json.dump(), "model");
  INFO((program ? "" : program.message()));
  REQUIRE(program.ok());
  return std::move(*program);
}

/// The message with which the sample is refused after `edit` was applied to it.
template <typename Edit> std::string refusal(Edit &&edit) {
  Json json = sample();
  edit(json);
  auto program = readProgramJson(json.dump(), "model");
  REQUIRE_FALSE(program.ok());
  return program.message();
}

Json &graphOf(Json &json) { return json["graph_module"]["graph"]; }
Json &nodeOf(Json &json) { return graphOf(json)["nodes"][0]; }
Json &xOf(Json &json) { return graphOf(json)["tensor_values"]["x"]; }

/// The sample's multiplier replaced by another argument.
Argument argumentFrom(const Json &argument) {
  Json json = sample();
  nodeOf(json)["inputs"][1]["arg"] = argument;
  return *accept(json).graph.nodes[0].find("other");
}

} // namespace

using Catch::Contains;

TEST_CASE("a program is read with all that it says", "[reader]") {
  Program program = accept(sample());
  CHECK(program.isTrainingIr());
  CHECK(program.schemaMinor == 99);
  CHECK(program.ranges.at("s0") == rtorch::layout::Range{2, INT64_MAX});
  CHECK(program.hints.at("s0") == 3);
  REQUIRE(program.inputs.size() == 2);
  CHECK(program.inputs[0].name == "x");
  CHECK(program.inputs[1].kind == InputSpec::Kind::ConstantInput);
  CHECK(std::get<bool>(program.inputs[1].argument));
  const Node &node = program.graph.nodes.at(0);
  CHECK(node.op == "aten.mul.Tensor");
  CHECK(node.modulePath == "act");
  CHECK(node.describe() == "'y' (aten.mul.Tensor) at net.py:7");
  CHECK(program.modelFolder == "/m/");
  const Value &y = program.graph.value(std::get<TensorRef>(node.outputs[0]).id);
  CHECK(y.producer == 0u);
  CHECK(y.tensor()->str() == "float32[s0, 4] strides [4, 1]");
}

TEST_CASE("every kind of argument is read", "[reader]") {
  CHECK(std::holds_alternative<None>(argumentFrom({{"as_none", true}})));
  CHECK(std::get<int64_t>(argumentFrom({{"as_int", INT64_MAX}})) == INT64_MAX);
  CHECK(std::isinf(std::get<double>(argumentFrom({{"as_float", "Infinity"}}))));
  CHECK(std::get<double>(argumentFrom({{"as_float", "-Infinity"}})) == -INFINITY);
  CHECK(std::isnan(std::get<double>(argumentFrom({{"as_float", "NaN"}}))));
  CHECK(std::get<double>(argumentFrom({{"as_float", 1}})) == 1.0);
  CHECK(std::get<std::string>(argumentFrom({{"as_string", "tanh"}})) == "tanh");
  CHECK(std::get<bool>(argumentFrom({{"as_bool", true}})));
  CHECK(std::get<int64_t>(argumentFrom({{"as_sym_int", {{"as_int", 3}}}})) == 3);
  CHECK(std::get<std::complex<double>>(
            argumentFrom({{"as_complex", {{"real", 1}, {"imag", -2.5}}}})) ==
        std::complex<double>(1, -2.5));
  CHECK(std::get<ScalarType>(argumentFrom({{"as_scalar_type", 13}})) ==
        ScalarType::BFloat16);
  CHECK(std::get<MemoryFormat>(argumentFrom({{"as_memory_format", 2}})) ==
        MemoryFormat::ChannelsLast);
  CHECK(std::get<LayoutKind>(argumentFrom({{"as_layout", 7}})) == LayoutKind::Strided);
  CHECK(std::get<Device>(argumentFrom(
            {{"as_device", {{"type", "cpu"}, {"index", 1}}}})) == Device{"cpu", 1});
  CHECK(std::get<OperatorRef>(argumentFrom({{"as_operator", "f"}})).target == "f");
  CHECK(std::get<std::vector<int64_t>>(argumentFrom({{"as_ints", {1, -2}}})) ==
        std::vector<int64_t>{1, -2});
  CHECK(std::get<std::vector<double>>(argumentFrom({{"as_floats", {1, "Infinity"}}}))
            .size() == 2);
  CHECK(std::get<std::vector<bool>>(argumentFrom({{"as_bools", {true, false}}})) ==
        std::vector<bool>{true, false});
  CHECK(std::get<std::vector<std::string>>(argumentFrom({{"as_strings", {"a"}}}))
            .size() == 1);
  CHECK(std::get<std::vector<std::vector<int64_t>>>(
            argumentFrom({{"as_int_lists", {{1}, Json::array()}}}))
            .size() == 2);
  CHECK(std::get<std::vector<std::vector<double>>>(
            argumentFrom({{"as_float_lists", {{1.5}}}}))[0][0] == 1.5);
  Json x = {{"name", "x"}};
  CHECK(std::get<TensorList>(argumentFrom({{"as_tensors", {x, x}}})).size() == 2);
  CHECK(std::get<NestedTensorList>(argumentFrom({{"as_nested_tensors", {{x}, {x, x}}}}))
            .size() == 2);
  CHECK(std::get<TensorRef>(argumentFrom({{"as_optional_tensor", {{"as_tensor", x}}}}))
            .id == 0);
  CHECK(std::holds_alternative<None>(
      argumentFrom({{"as_optional_tensor", {{"as_none", true}}}})));
  auto optional = std::get<OptionalTensorList>(argumentFrom(
      {{"as_optional_tensors", {{{"as_none", true}}, {{"as_tensor", x}}}}}));
  CHECK_FALSE(optional[0]);
  CHECK(optional[1]);
  auto list = std::get<SymIntList>(argumentFrom({{"as_sym_ints", {{{"as_int", 2}}}}}));
  CHECK(list.items[0].constant == 2);
  auto map = std::get<std::shared_ptr<ArgumentMap>>(
      argumentFrom({{"as_string_to_argument", {{"k", {{"as_int", 1}}}}}}));
  CHECK(map->entries[0].first == "k");
  auto graph = std::get<GraphRef>(argumentFrom(
      {{"as_graph",
        {{"name", "body"}, {"graph", sample()["graph_module"]["graph"]}}}}));
  CHECK(graph.graph->nodes.size() == 1);
}

TEST_CASE("members that may be missing or null", "[reader]") {
  Json json = sample();
  for (const char *key : {"verifiers", "torch_version", "range_constraints"})
    json[key] = nullptr;
  nodeOf(json).erase("name");
  nodeOf(json)["metadata"] = nullptr;
  nodeOf(json)["inputs"][0]["kind"] = nullptr;
  graphOf(json)["sym_int_values"] = nullptr;
  Program program = accept(json);
  // Declared positive, and nothing else is known.
  CHECK(program.ranges.at("s0") == rtorch::layout::Range{1, INT64_MAX});
  CHECK_FALSE(program.graph.nodes[0].source);
}

TEST_CASE("symbolic ints that expressions lack are kept as text", "[reader]") {
  Json json = sample();
  graphOf(json)["sym_int_values"]["n"] = {
      {"as_expr",
       {{"expr_str", "TruncToInt(IntTrueDiv(Symbol('s0'), Integer(2)))"},
        {"hint", nullptr}}}};
  nodeOf(json)["outputs"].push_back({{"as_sym_int", {{"as_name", "n"}}}});
  Program program = accept(json);
  auto ref = std::get<SymIntRef>(program.graph.nodes[0].outputs[1]);
  const SymInt *n = program.graph.value(*ref.id).symInt();
  CHECK_FALSE(n->expr);
  CHECK_THAT(n->unsupported, Contains("TruncToInt"));
  CHECK_FALSE(program.graph.intExpr(ref));
}

TEST_CASE("another schema version is refused first", "[reader]") {
  CHECK_THAT(refusal([](Json &json) {
               json = {{"schema_version", {{"major", 9}, {"minor", 0}}}};
             }),
             Contains("schema version 9") && Contains("reads version 8"));
  CHECK_THAT(refusal([](Json &json) { json.erase("schema_version"); }),
             Contains("'schema_version' is missing"));
  CHECK_THAT(refusal([](Json &json) { json = Json::array(); }),
             Contains("expected an object"));
}

TEST_CASE("names that dangle are refused with their node", "[reader]") {
  CHECK_THAT(refusal([](Json &json) {
               nodeOf(json)["inputs"][0]["arg"] = tensorArgument("nobody");
             }),
             Contains("node 'y' (aten.mul.Tensor)") &&
                 Contains("nodes[0].inputs[0].arg.as_tensor.name: 'nobody'"));
  CHECK_THAT(refusal([](Json &json) {
               nodeOf(json)["inputs"][0]["arg"] = tensorArgument("y");
             }),
             Contains("'y' names no value that is defined before"));
  CHECK_THAT(refusal([](Json &json) { graphOf(json)["tensor_values"].erase("y"); }),
             Contains("'y' is not in the graph's table of tensor values"));
  CHECK_THAT(
      refusal([](Json &json) { graphOf(json)["outputs"][0] = tensorArgument("gone"); }),
      Contains("graph.outputs[0].as_tensor.name: 'gone'"));
  CHECK_THAT(refusal([](Json &json) {
               nodeOf(json)["inputs"][1]["arg"] = {{"as_sym_int", {{"as_name", "x"}}}};
             }),
             Contains("'x' is not a symbolic int"));
}

TEST_CASE("values are defined once", "[reader]") {
  CHECK_THAT(
      refusal([](Json &json) { nodeOf(json)["outputs"][0] = tensorArgument("x"); }),
      Contains("'x' is defined twice"));
  CHECK_THAT(
      refusal([](Json &json) { graphOf(json)["nodes"].push_back(nodeOf(json)); }),
      Contains("'y' is defined twice"));
}

TEST_CASE("wrong types are refused", "[reader]") {
  CHECK_THAT(refusal([](Json &json) { nodeOf(json)["target"] = 3; }),
             Contains("expected a string, but got 3"));
  CHECK_THAT(refusal([](Json &json) { graphOf(json)["nodes"] = "x"; }),
             Contains("expected a list"));
  CHECK_THAT(
      refusal([](Json &json) { nodeOf(json)["inputs"][1]["arg"] = {{"as_int", 1.5}}; }),
      Contains("expected an integer of 64 bits, but got 1.5"));
  CHECK_THAT(refusal([](Json &json) {
               nodeOf(json)["inputs"][1]["arg"] = {{"as_int", 9223372036854775808u}};
             }),
             Contains("expected an integer of 64 bits"));
  CHECK_THAT(refusal([](Json &json) {
               nodeOf(json)["inputs"][1]["arg"] = {{"as_float", "inf"}};
             }),
             Contains("expected a number"));
  CHECK_THAT(refusal([](Json &json) {
               nodeOf(json)["inputs"][1]["arg"] = {{"as_int", 1}, {"as_float", 2}};
             }),
             Contains("an object with one member"));
  CHECK_THAT(
      refusal([](Json &json) { nodeOf(json)["inputs"][1]["arg"] = {{"as_color", 1}}; }),
      Contains("unknown kind of argument"));
  CHECK_THAT(refusal([](Json &json) {
               nodeOf(json)["inputs"][1]["arg"] = {{"as_scalar_type", 14}};
             }),
             Contains("unknown dtype number 14"));
}

TEST_CASE("sizes and strides are checked", "[reader]") {
  CHECK_THAT(refusal([](Json &json) { xOf(json)["strides"].push_back(number(1)); }),
             Contains("2 sizes but 3 strides"));
  CHECK_THAT(refusal([](Json &json) { xOf(json)["sizes"][1] = number(-1); }),
             Contains("size -1 is negative"));
  CHECK_THAT(refusal([](Json &json) { xOf(json)["strides"][1] = number(-1); }),
             Contains("stride -1 is negative"));
  CHECK_THAT(refusal([](Json &json) {
               xOf(json)["sizes"] = {number(int64_t(1) << 40),
                                     number(int64_t(1) << 30)};
             }),
             Contains("overflows"));
  CHECK_THAT(refusal([](Json &json) {
               xOf(json)["sizes"] = {number(4), number(4)};
               xOf(json)["strides"][0] = number(INT64_MAX / 2);
             }),
             Contains("extent") && Contains("overflows"));
  CHECK_THAT(refusal([](Json &json) {
               xOf(json)["storage_offset"] = number(INT64_MAX);
               xOf(json)["sizes"] = {number(4), number(4)};
             }),
             Contains("overflows"));
  CHECK_THAT(refusal([](Json &json) {
               xOf(json)["sizes"][0]["as_expr"]["expr_str"] = "Where(true, Integer(1))";
             }),
             Contains("'Where' is not supported"));
  CHECK_THAT(refusal([](Json &json) {
               xOf(json)["sizes"][0]["as_expr"]["expr_str"] = "Symbol(";
             }),
             Contains("not a sympy expression"));
  CHECK_THAT(
      refusal([](Json &json) { json["range_constraints"]["s0"]["max_val"] = 1; }),
      Contains("range from 2 to 1 is empty"));
}

TEST_CASE("the signature must fit the graph", "[reader]") {
  auto signature = [](Json &json) -> Json & {
    return json["graph_module"]["signature"];
  };
  CHECK_THAT(refusal([&](Json &json) { signature(json)["input_specs"].erase(1); }),
             Contains("has 1 inputs"));
  CHECK_THAT(refusal([&](Json &json) {
               signature(json)["output_specs"].push_back(
                   signature(json)["output_specs"][0]);
             }),
             Contains("only 1 outputs"));
  CHECK_THAT(refusal([&](Json &json) {
               signature(json)["output_specs"][0]["user_output"]["arg"] =
                   tensorArgument("x");
             }),
             Contains("not the one at the same place"));
  CHECK_THAT(
      refusal([&](Json &json) {
        signature(json)["output_specs"][0] = {
            {"buffer_mutation", {{"arg", {{"name", "y"}}}, {"buffer_name", "b"}}}};
      }),
      Contains("'b', which is no such input"));
  CHECK_THAT(refusal([&](Json &json) {
               signature(json)["input_specs"][0] = {{"surprise", {{"a", 1}}}};
             }),
             Contains("unknown kind of input"));
}

TEST_CASE("text that is not JSON, or nests too deep, is refused", "[reader]") {
  std::string text = sample().dump();
  CHECK_THAT(readProgramJson("", "m").message(), Contains("not valid JSON"));
  CHECK_THAT(readProgramJson("{\"a\": 1e999}", "m").message(), Contains("JSON"));
  for (size_t cut = 0; cut < text.size(); cut += 7)
    CHECK_FALSE(readProgramJson(text.substr(0, cut), "m").ok());
  CHECK_THAT(readProgramJson(std::string(1000000, '['), "m").message(),
             Contains("nests more than"));
}

TEST_CASE("flipped bits never crash the reader", "[reader][fuzz]") {
  std::string text = sample().dump();
  size_t refused = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    for (unsigned bit = 0; bit < 8; bit += 2) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ (1u << bit));
      refused += !readProgramJson(damaged, "m").ok();
    }
  }
  CHECK(refused > text.size() / 2);
}

TEST_CASE("members removed or swapped never crash the reader", "[reader][fuzz]") {
  Json flat = sample().flatten();
  std::vector<std::string> keys;
  for (auto it = flat.begin(); it != flat.end(); ++it)
    keys.push_back(it.key());
  const Json replacements[] = {nullptr,       true,          -1, INT64_MAX, 1e300, "x",
                               Json::array(), Json::object()};
  for (const std::string &key : keys) {
    Json removed = sample();
    Json::json_pointer pointer(key);
    if (removed[pointer.parent_pointer()].is_object()) {
      removed[pointer.parent_pointer()].erase(pointer.back());
      (void)readProgramJson(removed.dump(), "m");
    }
    for (const Json &replacement : replacements) {
      Json edited = sample();
      edited[pointer] = replacement;
      (void)readProgramJson(edited.dump(), "m");
      edited[pointer.parent_pointer()] = replacement;
      (void)readProgramJson(edited.dump(), "m");
    }
  }
  SUCCEED();
}
