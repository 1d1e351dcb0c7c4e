// What cannot be translated, over the whole program before anything is emitted.
#include "compiler/import/ToRtParts.h"

#include "llvm/ADT/StringSwitch.h"

#include <algorithm>
#include <set>

using namespace mlir;

namespace rtorch::importer {

Location locationOf(MLIRContext *context, const Node &node) {
  Location place = UnknownLoc::get(context);
  if (node.source)
    place = FileLineColLoc::get(context, node.source->file,
                                static_cast<unsigned>(node.source->line), 1);
  return NameLoc::get(StringAttr::get(context, node.name), place);
}

/// Whether nothing happens by the node but its results.
static bool isPure(const Node &node) {
  llvm::StringRef op = node.op, name = op.rsplit('.').first;
  return !node.outputs.empty() &&
         (op.starts_with("aten.") || op.starts_with("prims.")) &&
         !name.ends_with("_") && !op.ends_with(".out") && !name.contains("assert");
}

bool isDead(const Node &node, const std::vector<bool> &used) {
  auto isUsed = [&](const Argument &output) {
    return llvm::any_of(translate::referencesOf(output),
                        [&](ValueId id) { return used[id]; });
  };
  return isPure(node) && llvm::none_of(node.outputs, isUsed);
}

std::vector<bool> usedValues(const Graph &graph) {
  std::vector<bool> used(graph.values.size());
  auto use = [&](const Argument &argument) {
    for (ValueId id : translate::referencesOf(argument))
      used[id] = true;
  };
  std::ranges::for_each(graph.outputs, use);
  for (const Node &node : llvm::reverse(graph.nodes))
    if (!isDead(node, used))
      for (const NamedArgument &argument : node.arguments)
        use(argument.value);
  return used;
}

std::pair<const Graph *, ArrayRef<NamedArgument>> bodyOf(const Node &node) {
  ArrayRef<NamedArgument> arguments = node.arguments;
  for (size_t i = 0; i < arguments.size(); ++i)
    if (auto *body = std::get_if<GraphRef>(&arguments[i].value))
      return {body->graph.get(), arguments.drop_front(i + 1)};
  return {nullptr, {}};
}

bool isInlinedWrapper(const Node &node) {
  if (!bodyOf(node).first)
    return false;
  if (node.op == "higher_order.wrap_with_set_grad_enabled")
    return true;
  // (device, dtype, enabled, cache_enabled, body, operands...)
  if (node.op != "higher_order.wrap_with_autocast" || node.arguments.size() < 3)
    return false;
  auto *enabled = std::get_if<bool>(&node.arguments[2].value);
  return enabled && !*enabled;
}

namespace {

/// Nodes that compute sizes: their values' expressions say what they give.
bool isSizeArithmetic(llvm::StringRef op) {
  return op.starts_with("_operator.") || op.starts_with("math.") ||
         op.starts_with("torch.sym_") || op == "aten.sym_size.int" ||
         op == "aten.sym_numel.default" || op == "aten.sym_stride.int" ||
         op == "aten.sym_storage_offset.default";
}

/// Collects problems, by what they are about, with the nodes that have them.
class SupportCheck {
public:
  void check(const Program &program);
  /// The report; empty if everything is supported.
  std::string report(const Program &program) const;

private:
  struct Problem {
    std::vector<std::string> nodes;
    bool isOp = false;
  };

  void check(const Graph &graph);
  void check(const Graph &graph, const Node &node);
  void checkArguments(const Graph &graph, const Node &node);
  void checkValue(const Value &value, const std::string &where);
  void add(const std::string &what, const std::string &where, bool isOp = false) {
    Problem &problem = problems_[what];
    problem.isOp = isOp;
    problem.nodes.push_back(where);
  }

  std::map<std::string, Problem> problems_;
};

std::string whereIs(const Node &node) {
  std::string text = "'" + node.name + "'";
  return node.source ? text + " at " + node.source->str() : text;
}

void SupportCheck::checkValue(const Value &value, const std::string &where) {
  const TensorMeta *meta = value.tensor();
  if (!meta)
    return;
  if (!translate::isSupported(meta->dtype))
    add("dtype " + std::string(scalarTypeName(meta->dtype)), where);
  if (meta->device.type != "cpu")
    add("device '" + meta->device.type + "'", where);
  if (meta->layout != LayoutKind::Strided)
    add("sparse layout", where);
}

/// Symbolic numbers must have expressions, and dtypes must exist here.
void SupportCheck::checkArguments(const Graph &graph, const Node &node) {
  for (const NamedArgument &argument : node.arguments) {
    if (auto *dtype = std::get_if<ScalarType>(&argument.value))
      if (!translate::isSupported(*dtype))
        add("dtype " + std::string(scalarTypeName(*dtype)), whereIs(node));
    for (ValueId id : translate::referencesOf(argument.value)) {
      const Value &value = graph.value(id);
      bool isKnown = value.tensor() || (value.symInt() && value.symInt()->expr) ||
                     (value.symFloat() && value.symFloat()->expr) ||
                     (value.symBool() && value.symBool()->expr);
      if (!isKnown)
        add("a number that is not an expression of sizes", whereIs(node));
    }
  }
}

void SupportCheck::check(const Graph &graph, const Node &node) {
  if (isInlinedWrapper(node)) {
    check(*bodyOf(node).first);
    return;
  }
  for (const Argument &output : node.outputs)
    for (ValueId id : translate::referencesOf(output))
      checkValue(graph.value(id), whereIs(node));
  if (isSizeArithmetic(node.op))
    return;
  if (isLoopOrBranch(node)) {
    if (std::string reason = refuseLoopOrBranch(node); !reason.empty())
      add(node.op + " (" + reason + ")", whereIs(node), true);
    for (const Graph *body : bodiesOf(node))
      check(*body);
    return checkArguments(graph, node);
  }
  translate::Match match = translate::findRule(node.op);
  if (!match.rule) {
    add(node.op, whereIs(node), true);
    return;
  }
  checkArguments(graph, node);
  if (match.rule->refuse)
    if (std::string reason = match.rule->refuse(graph, node); !reason.empty())
      add(node.op + " (" + reason + ")", whereIs(node), true);
}

void SupportCheck::check(const Graph &graph) {
  std::vector<bool> used = usedValues(graph);
  for (const Node &node : graph.nodes)
    if (!isDead(node, used))
      check(graph, node);
}

void SupportCheck::check(const Program &program) {
  for (const InputSpec &input : program.inputs) {
    if (input.kind == InputSpec::Kind::CustomObject ||
        input.kind == InputSpec::Kind::Token)
      add("a custom object or effect token as an input", "'" + input.name + "'");
    if (auto *ref = std::get_if<TensorRef>(&input.argument))
      checkValue(program.graph.value(ref->id), "'" + input.name + "'");
  }
  for (const OutputSpec &output : program.outputs)
    if (output.kind == OutputSpec::Kind::LossOutput ||
        output.kind == OutputSpec::Kind::GradientToParameter ||
        output.kind == OutputSpec::Kind::GradientToUserInput ||
        output.kind == OutputSpec::Kind::Token)
      add("an output of a joint training graph or an effect token", "the signature");
  check(program.graph);
}

/// At most so many nodes are listed for each problem.
constexpr size_t kListed = 4;

std::string SupportCheck::report(const Program &program) const {
  if (problems_.empty())
    return {};
  std::string text = "the program needs what is not supported:";
  bool anyOp = false;
  for (const auto &[what, problem] : problems_) {
    size_t count = problem.nodes.size();
    text += "\n  " + what + ", " + std::to_string(count) +
            (count == 1 ? " time: " : " times: ");
    for (size_t i = 0; i < std::min(count, kListed); ++i)
      text += (i ? ", " : "") + problem.nodes[i];
    text += count > kListed ? ", ..." : "";
    anyOp = anyOp || problem.isOp;
  }
  if (anyOp && program.isTrainingIr())
    text += "\nrun_decompositions() before saving may take these ops apart into "
            "supported ones";
  return text;
}

} // namespace

/// Ops that take a tensor without dims for one of rank 1.
static bool acceptsRankZero(llvm::StringRef op) {
  llvm::StringRef name = op.drop_front(op.find('.') + 1).split('.').first;
  if (!name.starts_with("_"))
    name = name.rtrim('_');
  if (name != "index_copy")
    name.consume_back("_copy");
  return llvm::StringSwitch<bool>(name)
      .Cases({"sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "any", "all"},
             true)
      .Cases({"var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm"}, true)
      .Cases({"softmax", "log_softmax", "_softmax", "_log_softmax", "logsumexp"}, true)
      .Cases({"squeeze", "flatten", "transpose", "swapaxes", "swapdims", "permute"},
             true)
      .Cases({"index_select", "index_add", "index_copy", "index_fill", "index_reduce"},
             true)
      .Cases({"quantile", "nanquantile"}, true)
      .Cases({"gather", "scatter", "scatter_add", "scatter_reduce"}, true)
      .Cases(
          {"cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sort", "argsort"},
          true)
      .Cases({"topk", "kthvalue", "median", "nanmedian", "mode", "max", "min"}, true)
      .Cases({"nansum", "nanmean", "aminmax", "count_nonzero", "flip", "unfold"}, true)
      .Default(false);
}

LogicalResult checkDims(translate::Call &call) {
  const Argument *self = call.node.find("self");
  // The "dims" of tile are counts.
  if (!self || !std::holds_alternative<TensorRef>(*self) ||
      call.node.op == "aten.tile.default")
    return success();
  mlir::Value operand = call.tensor("self");
  if (!operand)
    return failure();
  int64_t rank = translate::rankOf(operand);
  bool inserts = llvm::StringRef(call.node.op).starts_with("aten.unsqueeze") ||
                 call.node.op == "aten.diag_embed.default";
  if (inserts || (rank == 0 && acceptsRankZero(call.node.op)))
    ++rank;
  for (const char *name :
       {"dim", "dims", "dim0", "dim1", "dim2", "start_dim", "end_dim", "axis0", "axis1",
        "dimension", "source", "destination"})
    for (const layout::Expr &dim : call.exprs(name)) {
      int64_t value = dim.constant().value_or(rank);
      if (value >= rank || value < -rank) {
        call.error() << "expects dims between " << -rank << " and " << rank - 1
                     << ", but got " << dim.str();
        return failure();
      }
    }
  return success();
}

LogicalResult checkSupport(MLIRContext &context, const Program &program) {
  SupportCheck check;
  check.check(program);
  std::string report = check.report(program);
  if (report.empty())
    return success();
  return emitError(NameLoc::get(StringAttr::get(&context, program.name))) << report;
}

} // namespace rtorch::importer
