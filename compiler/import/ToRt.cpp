#include "compiler/import/ToRt.h"

#include "compiler/import/SchemaTable.h"
#include "compiler/import/ToRtParts.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

#include <cstring>
#include <map>
#include <set>

using namespace mlir;
using rtorch::translate::Call;
using rtorch::translate::Emitter;
using rtorch::translate::Results;

namespace rtorch::importer {
namespace {

using Values = std::vector<mlir::Value>;

/// Translates one program; used once.
class ProgramTranslator {
public:
  ProgramTranslator(MLIRContext &context, const Program &program,
                    const ImportOptions &options)
      : context_(context), program_(program), options_(options), builder_(&context) {}

  FailureOr<OwningOpRef<ModuleOp>> run();

private:
  // Inputs.
  rt::TensorType typeOf(const TensorMeta &meta);
  void addFunction(ModuleOp module);
  void addParameters();
  void addArgumentsAttr();

  // Nodes.
  LogicalResult translate(const Graph &graph, Values &values);
  LogicalResult translate(const Graph &graph, const Node &node, Values &values,
                          const std::vector<bool> &used);
  FailureOr<Values> translateBody(const Graph &body, ArrayRef<mlir::Value> operands);
  LogicalResult inlineBody(const Graph &graph, const Node &node, Values &values);
  LogicalResult translateLoop(const Graph &graph, const Node &node, Values &values);
  FailureOr<Values> callRule(Call &call, Values &values);
  FailureOr<Values> reshapeInPlace(Call &call, const Results &results, Values &values);
  void noteSameTensor(const Graph &graph, const Node &node, std::string_view operand);
  bool isCallers(const Graph &graph, ValueId id) const;
  LogicalResult checkDtype(const Graph &graph, const Node &node, ValueId id,
                           mlir::Value value);
  LogicalResult bindResults(const Graph &graph, const Node &node, const Values &results,
                            Values &values);
  void noteGuards(const Node &node);

  // Outputs.
  LogicalResult addMutations();
  LogicalResult addResults();
  void markMutated();
  LogicalResult checkRounds();
  void addGuardsAttr();
  DictionaryAttr entry(StringRef kind, StringRef name, Attribute value);
  FailureOr<Attribute> constantAttr(const Argument &argument);

  MLIRContext &context_;
  const Program &program_;
  const ImportOptions &options_;
  OpBuilder builder_;
  layout::Guards guards_;
  std::vector<layout::Guard> exportedGuards_;
  /// The user's source line for each guard in guards_.recorded().
  std::vector<std::string> guardSources_;
  func::FuncOp function_;
  /// The dialect's values of the program's graph.
  Values values_;
  /// What an in-place op gives is the tensor that it was given: the first name of each.
  std::map<std::pair<const Graph *, ValueId>, ValueId> firstNames_;
  ValueId firstName(const Graph &graph, ValueId id) const {
    auto found = firstNames_.find({&graph, id});
    return found == firstNames_.end() ? id : found->second;
  }
};

Location namedLocation(MLIRContext &context, StringRef name) {
  return NameLoc::get(StringAttr::get(&context, name));
}

rt::TensorType ProgramTranslator::typeOf(const TensorMeta &meta) {
  return rt::TensorType::get(&context_,
                             layout::Layout{meta.sizes, meta.strides, meta.offset},
                             translate::elementType(&context_, meta.dtype));
}

/// The function with the user's tensors as arguments; results follow at the end.
void ProgramTranslator::addFunction(ModuleOp module) {
  SmallVector<Type> types;
  SmallVector<Location> locations;
  SmallVector<ValueId> ids;
  for (const InputSpec &input : program_.inputs) {
    auto *ref = std::get_if<TensorRef>(&input.argument);
    if (!ref || input.kind != InputSpec::Kind::UserInput)
      continue;
    TensorMeta meta = program_.graph.tensor(*ref);
    meta.offset = 0; // the call passes a pointer to the first element
    types.push_back(typeOf(meta));
    locations.push_back(namedLocation(context_, input.name));
    ids.push_back(ref->id);
  }
  builder_.setInsertionPointToEnd(module.getBody());
  function_ = func::FuncOp::create(builder_, module.getLoc(), "forward",
                                   builder_.getFunctionType(types, {}));
  Block *block = builder_.createBlock(&function_.getBody(), {}, types, locations);
  for (auto [id, argument] : llvm::zip(ids, block->getArguments()))
    values_[id] = argument;
}

/// The bytes of 1, or true.
std::vector<std::byte> oneOf(ScalarType dtype) {
  std::vector<std::byte> one(itemSize(dtype));
  if (dtype == ScalarType::Float) {
    float value = 1;
    std::memcpy(one.data(), &value, sizeof value);
  } else if (!translate::isFloat(dtype)) {
    one[0] = std::byte(1);
  }
  return one;
}

/// Whether the last two dims are 1 up to the diagonal and 0 right of it: buffers that
/// hide what comes later from attention are. Most weights are told at their first
/// elements.
bool isLowerTriangle(const Payload &payload) {
  const TensorMeta &meta = payload.meta;
  size_t rank = meta.sizes.size(), size = itemSize(meta.dtype);
  if (rank < 2 || !translate::isSupported(meta.dtype))
    return false;
  int64_t rows = *meta.sizes[rank - 2].constant(),
          cols = *meta.sizes[rank - 1].constant();
  if (rows < 2 || cols < 2)
    return false;
  for (size_t dim = 0; dim + 2 < rank; ++dim)
    if (*meta.sizes[dim].constant() != 1)
      return false;
  const std::vector<std::byte> one = oneOf(meta.dtype), zero(size);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col) {
      int64_t element = *meta.offset.constant() +
                        row * *meta.strides[rank - 2].constant() +
                        col * *meta.strides[rank - 1].constant();
      const std::vector<std::byte> &expected = col <= row ? one : zero;
      if (std::memcmp(payload.bytes.data() + element * int64_t(size), expected.data(),
                      size) != 0)
        return false;
    }
  return true;
}

/// One op for each parameter, buffer and constant that something uses or writes.
void ProgramTranslator::addParameters() {
  std::vector<bool> used = usedValues(program_.graph);
  std::set<std::string> written;
  for (const OutputSpec &output : program_.outputs)
    written.insert(output.target);
  int64_t unbound = 0;
  for (const InputSpec &input : program_.inputs) {
    auto *ref = std::get_if<TensorRef>(&input.argument);
    if (!ref || input.kind == InputSpec::Kind::UserInput ||
        (!used[ref->id] && !written.contains(input.target)))
      continue;
    const Payload *payload = program_.payload(input);
    const TensorMeta &meta = payload ? payload->meta : program_.graph.tensor(*ref);
    // Without payloads, every tensor has a storage of its own.
    int64_t storage = payload ? payload->storage : unbound++;
    auto parameter =
        rt::ParameterOp::create(builder_, namedLocation(context_, input.name),
                                typeOf(meta), input.target, storage, /*mutated=*/false);
    if (payload && isLowerTriangle(*payload))
      parameter->setAttr(rt::kTriangularAttr, builder_.getUnitAttr());
    values_[ref->id] = parameter;
  }
}

DictionaryAttr ProgramTranslator::entry(StringRef kind, StringRef name,
                                        Attribute value) {
  SmallVector<NamedAttribute> attrs = {
      builder_.getNamedAttr("kind", builder_.getStringAttr(kind)),
      builder_.getNamedAttr(kind == "tensor" ? "index" : "value", value)};
  if (!name.empty())
    attrs.push_back(builder_.getNamedAttr("name", builder_.getStringAttr(name)));
  return builder_.getDictionaryAttr(attrs);
}

FailureOr<Attribute> ProgramTranslator::constantAttr(const Argument &argument) {
  if (std::holds_alternative<None>(argument))
    return Attribute(builder_.getUnitAttr());
  if (auto *text = std::get_if<std::string>(&argument))
    return Attribute(builder_.getStringAttr(*text));
  if (auto *value = std::get_if<bool>(&argument))
    return Attribute(builder_.getBoolAttr(*value));
  if (auto *value = std::get_if<int64_t>(&argument))
    return Attribute(builder_.getI64IntegerAttr(*value));
  if (auto *value = std::get_if<double>(&argument))
    return Attribute(builder_.getF64FloatAttr(*value));
  return failure();
}

/// The flattened call's arguments in order, as the contract lists them.
void ProgramTranslator::addArgumentsAttr() {
  SmallVector<Attribute> entries;
  int64_t index = 0;
  for (const InputSpec &input : program_.inputs) {
    if (input.kind == InputSpec::Kind::ConstantInput ||
        input.kind == InputSpec::Kind::UserInput) {
      FailureOr<Attribute> constant = constantAttr(input.argument);
      std::optional<layout::Expr> expr = program_.graph.intExpr(input.argument);
      if (std::holds_alternative<TensorRef>(input.argument))
        entries.push_back(
            entry("tensor", input.name, builder_.getI64IntegerAttr(index++)));
      else if (succeeded(constant))
        entries.push_back(entry("constant", input.name, *constant));
      else if (expr)
        entries.push_back(
            entry("int", input.name, rt::ExprAttr::get(&context_, *expr)));
    }
  }
  function_->setAttr("rt.arguments", builder_.getArrayAttr(entries));
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

void ProgramTranslator::noteGuards(const Node &node) {
  std::string source = node.source ? node.source->str() : "";
  guardSources_.resize(guards_.recorded().size(), source);
}

/// A body's tensors for these operands in the place of its inputs.
FailureOr<Values> ProgramTranslator::translateBody(const Graph &body,
                                                   ArrayRef<mlir::Value> operands) {
  Values inner(body.values.size());
  for (auto [input, operand] : llvm::zip(body.inputs, operands))
    if (auto *ref = std::get_if<TensorRef>(&input))
      inner[ref->id] = operand;
  if (failed(translate(body, inner)))
    return failure();
  Values results;
  for (const Argument &output : body.outputs)
    for (ValueId id : translate::referencesOf(output))
      if (body.value(id).tensor())
        results.push_back(inner[id]);
  return results;
}

/// A wrapper's body, once, as it is.
LogicalResult ProgramTranslator::inlineBody(const Graph &graph, const Node &node,
                                            Values &values) {
  auto [body, arguments] = bodyOf(node);
  Values operands;
  for (const NamedArgument &argument : arguments) {
    auto *ref = std::get_if<TensorRef>(&argument.value);
    operands.push_back(ref ? values[ref->id] : mlir::Value());
  }
  FailureOr<Values> results = translateBody(*body, operands);
  if (failed(results))
    return failure();
  return bindResults(graph, node, *results, values);
}

LogicalResult ProgramTranslator::translateLoop(const Graph &graph, const Node &node,
                                               Values &values) {
  Emitter emitter(builder_, guards_, locationOf(&context_, node), node.describe());
  FailureOr<Values> results = translateLoopOrBranch(
      emitter, graph, node, [&](ValueId id) { return values[id]; },
      [&](const Graph &body, ArrayRef<mlir::Value> operands) {
        return translateBody(body, operands);
      });
  noteGuards(node);
  if (failed(results))
    return failure();
  return bindResults(graph, node, *results, values);
}

/// The node's results by its rule. In place, the functional result is written to the
/// operand's memory, and the operand is the result.
FailureOr<Values> ProgramTranslator::callRule(Call &call, Values &values) {
  const Node &node = call.node;
  translate::Match match = translate::findRule(node.op);
  if (node.op == "aten.copy_.default") {
    mlir::Value self = call.tensor("self");
    if (failed(call.write(call.tensor("src"), self)))
      return failure();
    noteSameTensor(call.graph, node, "self");
    return Values{self};
  }
  Results results = match.rule->translate(call);
  if (failed(results) || !match.inPlace)
    return results;
  if (match.rule->isView)
    return reshapeInPlace(call, results, values);
  const char *operand = node.find("self") ? "self" : "input";
  mlir::Value self = call.tensor(operand);
  if (!self || failed(call.write(results->front(), self)))
    return failure();
  noteSameTensor(call.graph, node, operand);
  return Values{self};
}

/// The first result of `node` is its operand.
void ProgramTranslator::noteSameTensor(const Graph &graph, const Node &node,
                                       std::string_view operand) {
  auto *self = std::get_if<TensorRef>(node.find(operand));
  auto *result =
      node.outputs.empty() ? nullptr : std::get_if<TensorRef>(&node.outputs[0]);
  if (self && result)
    firstNames_[{&graph, result->id}] = firstName(graph, self->id);
}

/// Whether the tensor is an argument, a parameter or a buffer.
bool ProgramTranslator::isCallers(const Graph &graph, ValueId id) const {
  return &graph == &program_.graph &&
         llvm::any_of(program_.inputs, [&](const InputSpec &input) {
           auto *ref = std::get_if<TensorRef>(&input.argument);
           return ref && ref->id == id;
         });
}

/// The operand is what it was, seen with other sizes: under all its names.
FailureOr<Values> ProgramTranslator::reshapeInPlace(Call &call, const Results &results,
                                                    Values &values) {
  auto *self = std::get_if<TensorRef>(call.node.find("self"));
  if (!self)
    return results;
  ValueId first = firstName(call.graph, self->id);
  if (isCallers(call.graph, first)) {
    call.error() << "'" << call.graph.value(first).name << "' is the caller's tensor, "
                 << "whose sizes and strides a module cannot change";
    return failure();
  }
  noteSameTensor(call.graph, call.node, "self");
  for (ValueId id = 0; id < values.size(); ++id)
    if (firstName(call.graph, id) == first)
      values[id] = results->front();
  return results;
}

/// A node without floats among its operands gives torch's default dtype or one that an
/// argument names; where the rule does not find out, no other is silently taken.
LogicalResult ProgramTranslator::checkDtype(const Graph &graph, const Node &node,
                                            ValueId id, mlir::Value value) {
  const TensorMeta *meta = graph.value(id).tensor();
  if (!meta || !value || translate::dtypeOf(value) == meta->dtype)
    return success();
  for (const NamedArgument &input : node.arguments)
    for (ValueId operand : translate::referencesOf(input.value))
      if (const TensorMeta *tensor = graph.value(operand).tensor();
          tensor && translate::isFloat(tensor->dtype))
        return success(); // its dtype decides, by eager's rules
  return emitError(locationOf(&context_, node))
         << "gives " << rt::tensorType(value).getElementType()
         << ", but the program declares '" << graph.value(id).name << "' as "
         << meta->str();
}

LogicalResult ProgramTranslator::bindResults(const Graph &graph, const Node &node,
                                             const Values &results, Values &values) {
  std::vector<ValueId> ids;
  for (const Argument &output : node.outputs) {
    if (std::holds_alternative<None>(output))
      ids.push_back(graph.values.size()); // an undefined tensor takes a place
    for (ValueId id : translate::referencesOf(output))
      ids.push_back(id);
  }
  if (ids.size() > results.size())
    return emitError(locationOf(&context_, node))
           << "'" << node.name << "' has " << ids.size() << " results, but "
           << StringRef(node.op) << " gives " << results.size();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == graph.values.size())
      continue;
    values[ids[i]] = results[i];
    if (failed(checkDtype(graph, node, ids[i], results[i])))
      return failure();
    if (options_.crossCheck)
      crossCheck(guards_, graph, ids[i], results[i], locationOf(&context_, node));
  }
  return success();
}

LogicalResult ProgramTranslator::translate(const Graph &graph, const Node &node,
                                           Values &values,
                                           const std::vector<bool> &used) {
  if (isDead(node, used))
    return success();
  if (isInlinedWrapper(node))
    return inlineBody(graph, node, values);
  if (isLoopOrBranch(node))
    return translateLoop(graph, node, values);
  // Size arithmetic: its values are expressions already.
  if (!translate::findRule(node.op).rule)
    return success();
  Call::Lookup lookup = [&](ValueId id) { return values[id]; };
  Emitter emitter(builder_, guards_, locationOf(&context_, node), node.describe());
  Call call(emitter, graph, node, lookup, used);
  guards_.setReason("layout of '" + node.name + "' (" + node.op + ")");
  if (failed(checkDims(call)))
    return failure();
  FailureOr<Values> results = callRule(call, values);
  noteGuards(node);
  if (failed(results) || call.refused())
    return failure();
  return bindResults(graph, node, *results, values);
}

LogicalResult ProgramTranslator::translate(const Graph &graph, Values &values) {
  std::vector<bool> used = usedValues(graph);
  for (const Node &node : graph.nodes)
    if (failed(translate(graph, node, values, used)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

/// Mutations of a functional graph are outputs: they become writes.
LogicalResult ProgramTranslator::addMutations() {
  for (const OutputSpec &output : program_.outputs) {
    bool toInput = output.kind == OutputSpec::Kind::UserInputMutation;
    if (!toInput && output.kind != OutputSpec::Kind::BufferMutation &&
        output.kind != OutputSpec::Kind::ParameterMutation)
      continue;
    auto *source = std::get_if<TensorRef>(&output.argument);
    mlir::Value value = source ? values_[source->id] : mlir::Value(), target;
    for (const InputSpec &input : program_.inputs) {
      bool isUser = input.kind == InputSpec::Kind::UserInput;
      auto *ref = std::get_if<TensorRef>(&input.argument);
      if (ref && isUser == toInput &&
          (isUser ? input.name : input.target) == output.target)
        target = values_[ref->id];
    }
    Location loc = namedLocation(context_, output.target);
    if (!value || !target)
      return emitError(loc) << "the program writes to '" << output.target
                            << "', which is no tensor of it";
    if (failed(Emitter(builder_, guards_, loc, "mutation of '" + output.target + "'")
                   .write(value, target)))
      return failure();
    // In eager the new content is the mutated tensor: a result that is one is the
    // other.
    if (!isCallers(program_.graph, source->id))
      values_[source->id] = target;
  }
  return success();
}

LogicalResult ProgramTranslator::addResults() {
  SmallVector<mlir::Value> results;
  SmallVector<Attribute> entries;
  std::map<ValueId, int64_t> indices; // the same tensor twice is one result
  for (const OutputSpec &output : program_.outputs) {
    if (output.kind != OutputSpec::Kind::UserOutput)
      continue;
    if (auto *ref = std::get_if<TensorRef>(&output.argument)) {
      StringRef name = program_.graph.value(ref->id).name;
      if (!values_[ref->id])
        return emitError(namedLocation(context_, name))
               << "the result '" << name << "' is not computed";
      auto [place, isNew] = indices.try_emplace(ref->id, results.size());
      if (isNew)
        results.push_back(values_[ref->id]);
      entries.push_back(
          entry("tensor", name, builder_.getI64IntegerAttr(place->second)));
      continue;
    }
    if (FailureOr<Attribute> constant = constantAttr(output.argument);
        succeeded(constant)) {
      entries.push_back(entry("constant", "", *constant));
      continue;
    }
    std::optional<layout::Expr> expr = program_.graph.intExpr(output.argument);
    if (!expr)
      return emitError(function_.getLoc())
             << "a result of kind " << StringRef(argumentKindName(output.argument))
             << " is not supported";
    entries.push_back(entry("int", "", rt::ExprAttr::get(&context_, *expr)));
  }
  rt::ReturnOp::create(builder_, function_.getLoc(), results);
  SmallVector<Type> types;
  for (mlir::Value result : results)
    types.push_back(result.getType());
  function_.setFunctionType(
      builder_.getFunctionType(function_.getArgumentTypes(), types));
  function_->setAttr("rt.results", builder_.getArrayAttr(entries));
  return success();
}

/// The value whose storage `value` views.
mlir::Value rootOf(mlir::Value value) {
  while (auto view = value.getDefiningOp<rt::ViewOpInterface>())
    value = view.getViewSource();
  return value;
}

/// Sets `mutated` on all parameters over a storage that something writes to.
void ProgramTranslator::markMutated() {
  std::set<int64_t> storages;
  function_.walk([&](rt::WriteOp write) {
    if (auto parameter = rootOf(write.getTarget()).getDefiningOp<rt::ParameterOp>())
      storages.insert(parameter.getStorage());
  });
  function_.walk([&](rt::ParameterOp parameter) {
    if (storages.contains(parameter.getStorage()))
      parameter.setMutated(true);
  });
}

StringRef relationName(layout::Relation relation) {
  switch (relation) {
  case layout::Relation::Eq:
    return "eq";
  case layout::Relation::Ne:
    return "ne";
  case layout::Relation::Lt:
    return "lt";
  case layout::Relation::Le:
    return "le";
  }
  return "eq";
}

/// What depends on the round of a loop cannot be checked when the module is called.
LogicalResult ProgramTranslator::checkRounds() {
  for (const layout::Guard &guard : guards_.recorded())
    for (const layout::Expr &side : {guard.lhs, guard.rhs})
      for (const std::string &symbol : side.symbols())
        if (!program_.ranges.contains(symbol))
          return emitError(function_.getLoc())
                 << guard.reason << " depends on the round of a loop: whether "
                 << guard.lhs.str() << " " << relationName(guard.relation) << " "
                 << guard.rhs.str() << " is not known before it runs";
  return success();
}

void ProgramTranslator::addGuardsAttr() {
  SmallVector<Attribute> attrs;
  auto add = [&](const layout::Guard &guard, const std::string &source) {
    attrs.push_back(rt::GuardAttr::get(&context_, relationName(guard.relation),
                                       rt::ExprAttr::get(&context_, guard.lhs),
                                       rt::ExprAttr::get(&context_, guard.rhs),
                                       guard.reason, source));
  };
  for (const layout::Guard &guard : exportedGuards_)
    add(guard, "");
  guardSources_.resize(guards_.recorded().size());
  for (auto [guard, source] : llvm::zip(guards_.recorded(), guardSources_))
    add(guard, source);
  function_->setAttr(rt::kGuardsAttr, builder_.getArrayAttr(attrs));
}

FailureOr<OwningOpRef<ModuleOp>> ProgramTranslator::run() {
  if (failed(checkSupport(context_, program_)))
    return failure();
  exportedGuards_ = declareSymbols(program_, guards_);
  values_.resize(program_.graph.values.size());
  OwningOpRef<ModuleOp> module =
      ModuleOp::create(builder_, namedLocation(context_, program_.name));
  addFunction(*module);
  addParameters();
  addArgumentsAttr();
  if (failed(translate(program_.graph, values_)) || failed(addMutations()) ||
      failed(addResults()))
    return failure();
  markMutated();
  function_->setAttr(rt::kSymbolsAttr, symbolsAttr(&context_, program_, guards_));
  if (failed(checkRounds()))
    return failure();
  addGuardsAttr();
  if (failed(verify(*module)))
    return failure();
  return module;
}

} // namespace

FailureOr<OwningOpRef<ModuleOp>> importProgram(MLIRContext &context,
                                               const Program &program,
                                               const ImportOptions &options) {
  context.loadDialect<func::FuncDialect, rt::RtDialect>();
  // Rules see every argument of an op, also those that the exporter left out.
  Program complete = program;
  if (archive::Status status = completeArguments(complete.graph); !status)
    return emitError(namedLocation(context, program.name)) << status.message();
  return ProgramTranslator(context, complete, options).run();
}

} // namespace rtorch::importer
