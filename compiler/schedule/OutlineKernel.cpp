#include "compiler/schedule/OutlineKernel.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using rtorch::layout::Expr;
using rtorch::rt::ExprAttr;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
namespace {

/// Numbers symbols in the order in which they are met.
class SymbolNumbering {
public:
  explicit SymbolNumbering(MLIRContext *context) : context_(context) {
    replacer_.addReplacement([this](ExprAttr attr) {
      return ExprAttr::get(context_, rename(attr.getValue()));
    });
  }

  Expr rename(const Expr &expr) {
    for (const std::string &symbol : expr.symbols())
      if (numbers_
              .try_emplace(symbol, Expr::symbol("k" + std::to_string(order_.size())))
              .second)
        order_.push_back(symbol);
    return expr.substitute(numbers_);
  }

  /// `type` with renamed symbols and, as kernels get base pointers, without offset.
  TensorType argumentType(TensorType type) {
    layout::Layout layout = type.getLayout();
    layout.offset = 0;
    return cast<TensorType>(
        replacer_.replace(TensorType::get(context_, layout, type.getElementType())));
  }
  void renameIn(Operation *op) {
    replacer_.replaceElementsIn(op, /*replaceAttrs=*/true, /*replaceLocs=*/false,
                                /*replaceTypes=*/true);
  }
  ArrayRef<std::string> order() const { return order_; }

private:
  MLIRContext *context_;
  AttrTypeReplacer replacer_;
  std::map<std::string, Expr> numbers_;
  std::vector<std::string> order_;
};

class Outliner {
public:
  explicit Outliner(const FusionGroup &group)
      : group_(group), context_(group.root()->getContext()), symbols_(context_),
        ops_(group.ops.begin(), group.ops.end()) {}

  OutlinedKernel run();

private:
  Value localValue(Value value);
  Value storedAs(Value local, Value memory);
  bool isInside(Value value) const;
  Location nextLocation(Location original);

  const FusionGroup &group_;
  MLIRContext *context_;
  SymbolNumbering symbols_;
  llvm::DenseSet<Operation *> ops_;
  OutlinedKernel result_;
  IRMapping mapping_;
  OpBuilder builder_{context_};
};

/// Whether the value is computed in the kernel: by an op of the group or a constant,
/// possibly through views.
bool Outliner::isInside(Value value) const {
  Operation *op = viewRoot(value).getDefiningOp();
  return op && (ops_.contains(op) || isa<rt::FullOp>(op));
}

Location Outliner::nextLocation(Location original) {
  result_.locations.push_back(original);
  return FileLineColLoc::get(context_, "op", result_.locations.size() - 1, 0);
}

/// The value inside the kernel: a clone of what computes it, or an argument.
Value Outliner::localValue(Value value) {
  if (Value known = mapping_.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  if (!isInside(value)) {
    result_.inputs.push_back(value);
    Value argument = result_.kernel.getBlock().addArgument(
        symbols_.argumentType(tensorType(value)), UnknownLoc::get(context_));
    mapping_.map(value, argument);
    return argument;
  }
  for (Value operand : op->getOperands())
    localValue(operand);
  Operation *clone = builder_.clone(*op, mapping_);
  clone->setLoc(nextLocation(op->getLoc()));
  symbols_.renameIn(clone);
  return mapping_.lookup(value);
}

/// The value in the layout of `memory`, which it is stored to.
Value Outliner::storedAs(Value local, Value memory) {
  return rt::CloneOp::create(builder_, nextLocation(group_.root()->getLoc()),
                             symbols_.argumentType(tensorType(memory)), local);
}

OutlinedKernel Outliner::run() {
  OperationState state(UnknownLoc::get(context_), rt::KernelOp::getOperationName());
  state.addRegion()->emplaceBlock();
  state.addAttribute("sym_name", builder_.getStringAttr("kernel"));
  state.addAttribute("symbols", builder_.getArrayAttr({}));
  result_.kernel = cast<rt::KernelOp>(Operation::create(state));
  builder_.setInsertionPointToStart(&result_.kernel.getBlock());
  SmallVector<Value> yielded;
  for (Operation *op : group_.ops)
    if (auto write = dyn_cast<rt::WriteOp>(op)) {
      result_.targets.push_back(write.getTarget());
      yielded.push_back(storedAs(localValue(write.getValue()), write.getTarget()));
    }
  if (yielded.empty())
    for (Value result : group_.root()->getResults()) {
      Value local = localValue(result);
      bool asItIs = local.getDefiningOp() && tensorType(local).getOffset() == Expr(0);
      yielded.push_back(asItIs ? local : storedAs(local, result));
    }
  rt::YieldOp::create(builder_, UnknownLoc::get(context_), yielded);
  layout::Guards guards = rt::guardsAround(group_.root());
  SmallVector<Attribute> declarations;
  for (auto [i, symbol] : llvm::enumerate(symbols_.order())) {
    layout::Range range = guards.rangeOf(Expr::symbol(symbol));
    declarations.push_back(rt::SymbolAttr::get(context_, "k" + std::to_string(i),
                                               range.min, range.max, 0));
    result_.values.push_back(ExprAttr::get(context_, Expr::symbol(symbol)));
  }
  result_.kernel.setSymbolsAttr(builder_.getArrayAttr(declarations));
  return std::move(result_);
}

} // namespace

OutlinedKernel outlineKernel(const FusionGroup &group) { return Outliner(group).run(); }

std::string kernelBaseName(const FusionGroup &group) {
  std::string name;
  for (Operation *op : group.ops) {
    StringRef mnemonic = op->getName().stripDialect();
    if (name.size() > 48)
      break;
    name += (name.empty() ? "" : "_") + mnemonic.str();
  }
  return name;
}

} // namespace rtorch::schedule
