// Expressions over symbols as entries of the module's flat table.
#pragma once

#include "runtime/format/Manifest.h"
#include "runtime/layout/Expr.h"

#include <map>
#include <tuple>

namespace rtorch::emit {

/// Appends expressions to `manifest.exprs`, each distinct entry once.
class ExprTableBuilder {
public:
  explicit ExprTableBuilder(format::Manifest &manifest) : manifest_(manifest) {}

  /// The entry of `expr`, whose symbols are all in `manifest.symbols`.
  format::ExprId add(const layout::Expr &expr);
  std::vector<format::ExprId> add(const std::vector<layout::Expr> &exprs);
  /// The number of a new loop, whose round `symbol` names from now on.
  uint32_t declareLoop(const std::string &symbol);

  // What layout::lower asks for.
  format::ExprId constant(int64_t value);
  format::ExprId symbol(const std::string &name);
  format::ExprId add(format::ExprId a, format::ExprId b);
  format::ExprId mul(format::ExprId a, format::ExprId b);
  format::ExprId floordiv(format::ExprId a, format::ExprId b);
  format::ExprId mod(format::ExprId a, format::ExprId b);
  format::ExprId min(format::ExprId a, format::ExprId b);
  format::ExprId max(format::ExprId a, format::ExprId b);

private:
  format::ExprId node(format::ExprOp op, int64_t a, int64_t b = 0);

  format::Manifest &manifest_;
  std::map<std::string, uint32_t> loops_;
  std::map<std::tuple<format::ExprOp, int64_t, int64_t>, format::ExprId> known_;
};

} // namespace rtorch::emit
