#include "compiler/driver/Summary.h"

#include "compiler/schedule/Passes.h"
#include "runtime/layout/LayoutKind.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace rtorch::compiler {
namespace {

/// Values of the symbols in the example that was exported.
std::map<std::string, int64_t> exampleOf(func::FuncOp function) {
  std::map<std::string, int64_t> values;
  if (auto symbols = function->getAttrOfType<ArrayAttr>(rt::kSymbolsAttr))
    for (auto symbol : symbols.getAsRange<rt::SymbolAttr>())
      values[symbol.getName().str()] = symbol.getHint();
  return values;
}

class Summary {
public:
  Summary(ModuleOp module, Report &report)
      : report_(report), function_(*module.getOps<func::FuncOp>().begin()),
        example_(exampleOf(function_)) {
    for (auto kernel : module.getOps<rt::KernelOp>())
      if (kernel.getBody().front().getOperations().size() == 2 &&
          isa<rt::CloneOp>(kernel.getBody().front().front()))
        copies_.insert(kernel.getSymName());
  }

  void add() {
    function_.walk([&](Operation *op) {
      if (isa<rt::ViewOpInterface>(op))
        ++report_.views;
      if (auto launch = dyn_cast<rt::LaunchOp>(op))
        addLaunch(launch);
    });
    addAttributes();
  }

private:
  void addLaunch(rt::LaunchOp launch) {
    ++report_.launches;
    for (ValueRange values :
         {ValueRange(launch.getInputs()), ValueRange(launch.getResults()),
          ValueRange(launch.getTargets())})
      for (Value value : values)
        countLayout(rt::tensorType(value));
    if (!copies_.contains(launch.getKernel()) || launch.getNumResults() != 1)
      return;
    rt::TensorType type = rt::tensorType(launch->getResult(0));
    layout::Expr bytes = layout::numel(type.getSizes()) * type.getElementBytes();
    report_.copies.push_back(
        {placeOf(launch.getLoc()), bytes.str(), bytes.evaluate(example_).value_or(0)});
  }

  void countLayout(rt::TensorType type) {
    auto numbers = [&](const layout::Dims &dims) {
      std::vector<int64_t> values;
      for (const layout::Expr &dim : dims)
        values.push_back(dim.evaluate(example_).value_or(1));
      return values;
    };
    ++report_.layouts[layout::layoutKind(numbers(type.getSizes()),
                                         numbers(type.getStrides()))];
  }

  void addAttributes() {
    if (auto arena = function_->getAttrOfType<rt::ExprAttr>(schedule::kArenaAttr))
      report_.arenaBytes = arena.getValue().str();
    if (auto layouts =
            function_->getAttrOfType<DictionaryAttr>(schedule::kLayoutsAttr)) {
      report_.channelsLast = layouts.getAs<IntegerAttr>("channels_last").getInt();
      for (auto user : layouts.getAs<ArrayAttr>("copies_for").getAsRange<StringAttr>())
        report_.layoutCopies.push_back(user.str());
    }
    if (auto guards = function_->getAttrOfType<ArrayAttr>(rt::kGuardsAttr))
      for (auto guard : guards.getAsRange<rt::GuardAttr>())
        report_.openChecks.push_back(
            guard.getLhs().getValue().str() + " " + guard.getRelation().str() + " " +
            guard.getRhs().getValue().str() + ": " + guard.getReason().str());
  }

  Report &report_;
  func::FuncOp function_;
  std::map<std::string, int64_t> example_;
  llvm::StringSet<> copies_;
};

} // namespace

std::string placeOf(Location loc) {
  std::string node, source;
  loc->walk([&](Location part) {
    if (auto name = dyn_cast<NameLoc>(part); name && node.empty())
      node = name.getName().str();
    if (auto file = dyn_cast<FileLineColLoc>(part); file && source.empty())
      source = file.getFilename().str() + ":" + std::to_string(file.getLine());
    return WalkResult::advance();
  });
  std::string place = node.empty() ? "" : "node '" + node + "'";
  if (!source.empty())
    place += (place.empty() ? "" : " at ") + source;
  return place;
}

void summarize(ModuleOp module, Report &report) { Summary(module, report).add(); }

} // namespace rtorch::compiler
