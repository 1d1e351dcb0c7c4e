#include "compiler/import/SchemaTable.h"
#include "compiler/import/SchemaParser.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace rtorch::importer;

namespace {

Node nodeOf(const std::string &op, std::vector<NamedArgument> arguments) {
  Node node;
  node.name = "n";
  node.op = op;
  node.target = "torch.ops." + op;
  node.arguments = std::move(arguments);
  return node;
}

Node completed(const std::string &op, std::vector<NamedArgument> arguments) {
  Node node = nodeOf(op, std::move(arguments));
  auto status = completeArguments(node);
  INFO((status ? "" : status.message()));
  REQUIRE(status.ok());
  return node;
}

std::string refusal(const std::string &op, std::vector<NamedArgument> arguments) {
  Node node = nodeOf(op, std::move(arguments));
  auto status = completeArguments(node);
  REQUIRE_FALSE(status.ok());
  return status.message();
}

template <typename T> const T &get(const Node &node, std::string_view name) {
  const Argument *argument = node.find(name);
  REQUIRE(argument != nullptr);
  INFO(name << " is a " << argumentKindName(*argument));
  REQUIRE(std::holds_alternative<T>(*argument));
  return std::get<T>(*argument);
}

const Argument kTensor = TensorRef{0};

} // namespace

TEST_CASE("every entry of the table is understood", "[schema]") {
  CHECK(schemaCount() > 3000);
  size_t unknown = 0;
  for (size_t i = 0; i < schemaCount(); ++i) {
    INFO(schemaName(i));
    CHECK((i == 0 || schemaName(i - 1) < schemaName(i)));
    const OpSchema *schema = findSchema(schemaName(i));
    REQUIRE(schema != nullptr);
    for (const SchemaArgument &argument : schema->arguments)
      unknown += argument.type == SchemaType::Other;
  }
  CHECK(unknown == 4); // the quantized RNN cells' parameter objects
  CHECK(findSchema("aten.add") == nullptr);
  CHECK(findSchema("zzz") == nullptr);
}

TEST_CASE("aliasing and mutation come from the schema", "[schema]") {
  CHECK_FALSE(findSchema("aten.add.Tensor")->isMutating());
  CHECK_FALSE(findSchema("aten.add.Tensor")->isView());
  CHECK(findSchema("aten.add_.Tensor")->isMutating());
  CHECK_FALSE(findSchema("aten.add_.Tensor")->isView());
  CHECK(findSchema("aten.transpose.int")->isView());
  CHECK(findSchema("aten.split.Tensor")->isView());
  CHECK(findSchema("aten.split.Tensor")->returns[0].isList);
  CHECK(findSchema("aten.add.out")->find("out")->isMutated);
  const OpSchema *topk = findSchema("aten.topk.default");
  REQUIRE(topk->returns.size() == 2);
  CHECK(topk->find("k")->type == SchemaType::SymInt);
}

TEST_CASE("left-out arguments get the schema's defaults", "[schema]") {
  Node add = completed("aten.add.Tensor", {{"self", kTensor}, {"other", int64_t(2)}});
  REQUIRE(add.arguments.size() == 3);
  CHECK(get<int64_t>(add, "alpha") == 1);
  CHECK(add.arguments[2].isDefault);
  CHECK(add.arguments[2].keyword);
  CHECK_FALSE(add.arguments[0].isDefault);
  Node pool =
      completed("aten.max_pool2d.default",
                {{"self", kTensor}, {"kernel_size", std::vector<int64_t>{3, 3}}});
  CHECK(get<std::vector<int64_t>>(pool, "stride").empty());
  CHECK(get<std::vector<int64_t>>(pool, "padding") == std::vector<int64_t>{0, 0});
  CHECK(get<bool>(pool, "ceil_mode") == false);
  Node gelu = completed("aten.gelu.default", {{"self", kTensor}});
  CHECK(get<std::string>(gelu, "approximate") == "none");
  Node norm = completed("aten.layer_norm.default",
                        {{"input", kTensor}, {"normalized_shape", int64_t(4)}});
  CHECK(get<double>(norm, "eps") == 1e-5);
  CHECK(get<std::vector<int64_t>>(norm, "normalized_shape") == std::vector<int64_t>{4});
  get<None>(norm, "weight");
  Node contiguous = completed("aten.contiguous.default", {{"self", kTensor}});
  CHECK(get<MemoryFormat>(contiguous, "memory_format") == MemoryFormat::Contiguous);
  Node randint = completed("aten.randint.default",
                           {{"high", int64_t(3)}, {"size", std::vector<int64_t>{2}}});
  CHECK(get<ScalarType>(randint, "dtype") == ScalarType::Long);
}

TEST_CASE("arguments take the form of the schema's type", "[schema]") {
  Node dropout = completed("aten.dropout.default",
                           {{"input", kTensor}, {"p", int64_t(1)}, {"train", true}});
  CHECK(get<double>(dropout, "p") == 1.0);
  Node fill = completed("aten.fill.Scalar", {{"self", kTensor}, {"value", true}});
  CHECK(get<bool>(fill, "value"));
  Node index = completed("aten.index.Tensor",
                         {{"self", kTensor}, {"indices", TensorList{{1}, {2}}}});
  CHECK(get<OptionalTensorList>(index, "indices").size() == 2);
  Node cat = completed("aten.cat.default", {{"tensors", std::vector<int64_t>{}}});
  CHECK(get<TensorList>(cat, "tensors").empty());
  Node pool = completed("aten.avg_pool2d.default",
                        {{"self", kTensor}, {"kernel_size", int64_t(3)}});
  CHECK(get<std::vector<int64_t>>(pool, "kernel_size") == std::vector<int64_t>{3, 3});
}

TEST_CASE("arguments come in the schema's order", "[schema]") {
  Node linear =
      completed("aten.linear.default",
                {{"bias", None{}}, {"weight", TensorRef{2}}, {"input", TensorRef{1}}});
  CHECK(linear.arguments[0].name == "input");
  CHECK(linear.arguments[1].name == "weight");
  CHECK(linear.arguments[2].name == "bias");
}

TEST_CASE("arguments that the schema does not admit are refused", "[schema]") {
  using Catch::Contains;
  CHECK_THAT(refusal("aten.relu.default", {}), Contains("'self' is missing"));
  CHECK_THAT(refusal("aten.relu.default", {{"self", kTensor}, {"x", kTensor}}),
             Contains("'x' is not in the op's schema"));
  CHECK_THAT(refusal("aten.relu.default", {{"self", kTensor}, {"self", kTensor}}),
             Contains("given twice"));
  CHECK_THAT(refusal("aten.relu.default", {{"self", std::string("a")}}),
             Contains("'self' is a string"));
  CHECK_THAT(refusal("aten.transpose.int",
                     {{"self", kTensor}, {"dim0", 0.5}, {"dim1", int64_t(1)}}),
             Contains("'dim0' is a float"));
  CHECK_THAT(refusal("aten.relu.default", {{"self", None{}}}),
             Contains("'self' is a None"));
}

TEST_CASE("ops outside the table stay as they are", "[schema]") {
  Node node = completed("_operator.mul", {{"a", int64_t(1)}, {"b", int64_t(2)}});
  CHECK(node.arguments.size() == 2);
}

TEST_CASE("text that is no schema is refused", "[schema]") {
  CHECK(parseSchema("a", "(Tensor x) -> Tensor").ok());
  CHECK(parseSchema("a", "(*, int x=1) -> ()").ok());
  for (const char *text :
       {"", "(", "()", "(Tensor) -> Tensor", "(Tensor x -> Tensor", "(Tensor x) ->",
        "(Tensor x,) -> Tensor", "(int x=) -> Tensor", "(int x=[1) -> Tensor",
        "(str x=\"a) -> Tensor", "(Tensor(a x) -> Tensor", "(int[x] y) -> Tensor",
        "(Tensor x) -> Tensor y z", "(bool x=1.5) -> Tensor"}) {
    INFO(text);
    CHECK_FALSE(parseSchema("a", text).ok());
  }
}
