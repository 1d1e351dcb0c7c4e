// Nodes without results: checks of sizes and metadata that the exporter left in.
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

using importer::BoolExpr;

/// Records the relation as a check at the door; false if it cannot hold.
bool demand(Call &c, layout::Relation relation, const Expr &lhs, const Expr &rhs) {
  switch (c.guards.query(relation, lhs, rhs)) {
  case layout::Answer::Proven:
    return true;
  case layout::Answer::Refuted:
    return false;
  case layout::Answer::Open:
    c.guards.record({relation, lhs, rhs, "assertion '" + c.node.name + "'"});
    return true;
  }
  return false;
}

bool demand(Call &c, const BoolExpr &condition);

bool demandNot(Call &c, const BoolExpr &condition) {
  switch (condition.kind) {
  case BoolExpr::Kind::Eq:
    return demand(c, layout::Relation::Ne, condition.lhs, condition.rhs);
  case BoolExpr::Kind::Ne:
    return demand(c, layout::Relation::Eq, condition.lhs, condition.rhs);
  case BoolExpr::Kind::Lt:
    return demand(c, layout::Relation::Le, condition.rhs, condition.lhs);
  case BoolExpr::Kind::Le:
    return demand(c, layout::Relation::Lt, condition.rhs, condition.lhs);
  case BoolExpr::Kind::Constant:
    return !condition.value;
  case BoolExpr::Kind::Not:
    return demand(c, condition.operands[0]);
  default:
    return false;
  }
}

bool demand(Call &c, const BoolExpr &condition) {
  switch (condition.kind) {
  case BoolExpr::Kind::Constant:
    return condition.value;
  case BoolExpr::Kind::Eq:
    return demand(c, layout::Relation::Eq, condition.lhs, condition.rhs);
  case BoolExpr::Kind::Ne:
    return demand(c, layout::Relation::Ne, condition.lhs, condition.rhs);
  case BoolExpr::Kind::Lt:
    return demand(c, layout::Relation::Lt, condition.lhs, condition.rhs);
  case BoolExpr::Kind::Le:
    return demand(c, layout::Relation::Le, condition.lhs, condition.rhs);
  case BoolExpr::Kind::And:
    return llvm::all_of(condition.operands,
                        [&](const BoolExpr &part) { return demand(c, part); });
  case BoolExpr::Kind::Not:
    return demandNot(c, condition.operands[0]);
  case BoolExpr::Kind::Or:
    return false;
  }
  return false;
}

Results assertScalar(Call &c) {
  const importer::Argument *argument = c.node.find("self");
  auto *ref = argument ? std::get_if<importer::SymBoolRef>(argument) : nullptr;
  const importer::SymBool *value =
      ref && ref->id ? c.graph.value(*ref->id).symBool() : nullptr;
  bool holds = true;
  if (value && value->expr)
    holds = demand(c, *value->expr);
  else if (std::optional<Scalar> number = c.scalar("self"))
    holds = number->constant().value_or(1) != 0;
  if (holds)
    return std::vector<Value>{};
  c.error()
      << "the assertion is not a conjunction of relations between sizes that can hold: "
      << llvm::StringRef(c.string("assert_msg"));
  return mlir::failure();
}

/// min <= size <= max
Results constrainRange(Call &c) {
  std::optional<Expr> size = c.expr(c.node.find("size") ? "size" : "self");
  std::optional<Expr> low = c.expr("min"), high = c.expr("max");
  bool holds = !size || ((!low || demand(c, layout::Relation::Le, *low, *size)) &&
                         (!high || demand(c, layout::Relation::Le, *size, *high)));
  if (holds)
    return std::vector<Value>{};
  c.error() << "the size " << size->str()
            << " cannot lie in the range that is asked for";
  return mlir::failure();
}

/// The dtype that the exporter saw must be ours.
Results assertMetadata(Call &c) {
  Value x = c.tensor("a");
  if (!x)
    return mlir::failure();
  std::optional<ScalarType> dtype = c.dtype("dtype");
  if (!dtype || *dtype == dtypeOf(x))
    return std::vector<Value>{};
  c.error() << "expects dtype " << llvm::StringRef(importer::scalarTypeName(*dtype))
            << ", but got " << rt::tensorType(x);
  return mlir::failure();
}

} // namespace

void addCheckRules(RuleTable &table) {
  addMultiRule(table, {"aten._assert_scalar.default"}, assertScalar);
  addMultiRule(
      table,
      {"aten.sym_constrain_range.default", "aten.sym_constrain_range_for_size.default"},
      constrainRange);
  addMultiRule(table, {"aten._assert_tensor_metadata.default"}, assertMetadata);
}

} // namespace rtorch::translate
