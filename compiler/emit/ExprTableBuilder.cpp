#include "compiler/emit/ExprTableBuilder.h"

#include <algorithm>

using rtorch::format::ExprId;
using rtorch::format::ExprOp;

namespace rtorch::emit {

ExprId ExprTableBuilder::node(ExprOp op, int64_t a, int64_t b) {
  auto [it, isNew] = known_.try_emplace({op, a, b}, manifest_.exprs.size());
  if (isNew)
    manifest_.exprs.push_back({op, a, b});
  return it->second;
}

ExprId ExprTableBuilder::add(const layout::Expr &expr) {
  return layout::lower(expr, *this);
}

std::vector<ExprId> ExprTableBuilder::add(const std::vector<layout::Expr> &exprs) {
  std::vector<ExprId> ids;
  for (const layout::Expr &expr : exprs)
    ids.push_back(add(expr));
  return ids;
}

ExprId ExprTableBuilder::constant(int64_t value) {
  return node(ExprOp::Constant, value);
}

uint32_t ExprTableBuilder::declareLoop(const std::string &symbol) {
  return loops_[symbol] = manifest_.loops++;
}

ExprId ExprTableBuilder::symbol(const std::string &name) {
  if (auto loop = loops_.find(name); loop != loops_.end())
    return node(ExprOp::Round, loop->second);
  auto it = std::ranges::find(manifest_.symbols, name, &format::Symbol::name);
  return node(ExprOp::Symbol, it - manifest_.symbols.begin());
}

ExprId ExprTableBuilder::add(ExprId a, ExprId b) { return node(ExprOp::Add, a, b); }
ExprId ExprTableBuilder::mul(ExprId a, ExprId b) { return node(ExprOp::Mul, a, b); }
ExprId ExprTableBuilder::floordiv(ExprId a, ExprId b) {
  return node(ExprOp::FloorDiv, a, b);
}
ExprId ExprTableBuilder::mod(ExprId a, ExprId b) { return node(ExprOp::Mod, a, b); }
ExprId ExprTableBuilder::min(ExprId a, ExprId b) { return node(ExprOp::Min, a, b); }
ExprId ExprTableBuilder::max(ExprId a, ExprId b) { return node(ExprOp::Max, a, b); }

} // namespace rtorch::emit
