#include "runtime/core/ExprTable.h"

#include "runtime/format/Text.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace rtorch::core {

using format::ExprId;
using format::ExprNode;
using format::ExprOp;
using format::text;

namespace {

/// Printing stops here: a table may share subterms so that the text grows
/// exponentially.
constexpr size_t kLongestText = 400;
constexpr size_t kDeepest = 64;

/// a op b; nullopt on overflow and on division by zero.
std::optional<int64_t> apply(ExprOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
  case ExprOp::Add:
    return __builtin_add_overflow(a, b, &result) ? std::nullopt : std::optional(result);
  case ExprOp::Mul:
    return __builtin_mul_overflow(a, b, &result) ? std::nullopt : std::optional(result);
  case ExprOp::FloorDiv:
    if (b == 0 || (a == INT64_MIN && b == -1))
      return std::nullopt;
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
  case ExprOp::Mod:
    if (b == 0)
      return std::nullopt;
    if (b == -1)
      return 0;
    result = a % b;
    return result != 0 && (result < 0) != (b < 0) ? result + b : result;
  case ExprOp::Min:
    return std::min(a, b);
  case ExprOp::Max:
    return std::max(a, b);
  case ExprOp::Constant:
  case ExprOp::Symbol:
  case ExprOp::Round:
    break;
  }
  return std::nullopt;
}

Error evaluationError(const format::Manifest &manifest, ExprId id, bool byZero,
                      std::span<const int64_t> symbols) {
  std::string where = printSymbols(manifest, symbols);
  return makeError(ErrorCode::LayoutOverflow,
                   text("'", printExpr(manifest, id), "' ",
                        byZero ? "divides by zero" : "does not fit into 64 bits",
                        where.empty() ? "" : " for ", where));
}

/// Precedence of what print() gives: a sum is put in parentheses within a product.
enum class Binding : uint8_t { Sum, Product, Atom };

/// Appends to one text, so that its length bounds the work.
struct Printer {
  const format::Manifest &manifest;
  std::string out;

  void print(ExprId id, Binding outer, size_t depth) {
    if (out.size() > kLongestText)
      return;
    if (depth > kDeepest) {
      out += "...";
      return;
    }
    const ExprNode &node = manifest.exprs[id];
    switch (node.op) {
    case ExprOp::Constant:
      out +=
          node.a < 0 && outer != Binding::Sum ? text("(", node.a, ")") : text(node.a);
      return;
    case ExprOp::Symbol:
      out += manifest.symbols[size_t(node.a)].name;
      return;
    case ExprOp::Round:
      out += text("round", node.a);
      return;
    case ExprOp::Add:
      return infix(node, " + ", Binding::Sum, outer, depth);
    case ExprOp::Mul:
      return infix(node, "*", Binding::Product, outer, depth);
    case ExprOp::FloorDiv:
      return call("floordiv(", node, depth);
    case ExprOp::Mod:
      return call("mod(", node, depth);
    case ExprOp::Min:
      return call("min(", node, depth);
    case ExprOp::Max:
      return call("max(", node, depth);
    }
  }

private:
  void operands(const ExprNode &node, const char *between, Binding binding,
                size_t depth) {
    print(ExprId(node.a), binding, depth + 1);
    out += between;
    print(ExprId(node.b), binding, depth + 1);
  }
  void infix(const ExprNode &node, const char *sign, Binding binding, Binding outer,
             size_t depth) {
    const bool parentheses = outer > binding;
    out += parentheses ? "(" : "";
    operands(node, sign, binding, depth);
    out += parentheses ? ")" : "";
  }
  void call(const char *opening, const ExprNode &node, size_t depth) {
    out += opening;
    operands(node, ", ", Binding::Sum, depth);
    out += ")";
  }
};

/// Without `rounds`, all loops are in round 0.
Status evaluateOne(const format::Manifest &manifest, ExprId id,
                   std::span<const int64_t> symbols, std::span<const int64_t> rounds,
                   std::span<int64_t> values) {
  const ExprNode &node = manifest.exprs[id];
  if (node.op == ExprOp::Constant) {
    values[id] = node.a;
  } else if (node.op == ExprOp::Symbol) {
    values[id] = symbols[size_t(node.a)];
  } else if (node.op == ExprOp::Round) {
    values[id] = rounds.empty() ? 0 : rounds[size_t(node.a)];
  } else {
    const int64_t b = values[size_t(node.b)];
    std::optional<int64_t> value = apply(node.op, values[size_t(node.a)], b);
    if (!value)
      return evaluationError(manifest, id, b == 0, symbols);
    values[id] = *value;
  }
  return {};
}

} // namespace

Status evaluate(const format::Manifest &manifest, std::span<const int64_t> symbols,
                std::span<int64_t> values) {
  for (size_t i = 0; i < manifest.exprs.size(); ++i)
    if (Status status = evaluateOne(manifest, ExprId(i), symbols, {}, values);
        !status.ok())
      return status;
  return {};
}

Status evaluateRound(const format::Manifest &manifest, std::span<const ExprId> ids,
                     std::span<const int64_t> symbols, std::span<const int64_t> rounds,
                     std::span<int64_t> values) {
  for (ExprId id : ids)
    if (Status status = evaluateOne(manifest, id, symbols, rounds, values);
        !status.ok())
      return status;
  return {};
}

std::string printExpr(const format::Manifest &manifest, ExprId id) {
  Printer printer{manifest, {}};
  printer.print(id, Binding::Sum, 0);
  if (printer.out.size() > kLongestText)
    printer.out = printer.out.substr(0, kLongestText) + "...";
  return std::move(printer.out);
}

std::optional<int64_t> constantValue(const format::Manifest &manifest, ExprId id) {
  std::vector<std::optional<int64_t>> values(id + 1);
  for (size_t i = 0; i <= id; ++i) {
    const ExprNode &node = manifest.exprs[i];
    if (node.op == ExprOp::Constant)
      values[i] = node.a;
    else if (node.op != ExprOp::Symbol && node.op != ExprOp::Round &&
             values[size_t(node.a)] && values[size_t(node.b)])
      values[i] = apply(node.op, *values[size_t(node.a)], *values[size_t(node.b)]);
  }
  return values[id];
}

std::string printSymbols(const format::Manifest &manifest,
                         std::span<const int64_t> symbols) {
  std::string out;
  for (size_t i = 0; i < manifest.symbols.size(); ++i)
    out += text(i ? ", " : "", manifest.symbols[i].name, " = ", symbols[i]);
  return out;
}

} // namespace rtorch::core
