// The program's symbols and the relations that its exporter assumed.
#include "compiler/import/ToRtParts.h"

#include <cctype>
#include <charconv>

using namespace mlir;

namespace rtorch::importer {
namespace {

/// Reads the relations of sizes that export writes as Python:
/// "(L['x'].size()[1]*L['x'].size()[0]) % 2 == 0". Sizes come from the inputs' metas.
class GuardParser {
public:
  GuardParser(std::string_view text, const Program &program)
      : text_(text), program_(program) {}

  /// The relation; nullopt if the text is not one relation of integer expressions.
  std::optional<layout::Guard> parse() {
    std::optional<layout::Expr> lhs = sum();
    std::optional<std::string_view> comparison = comparisonSign();
    if (!lhs || !comparison)
      return std::nullopt;
    std::optional<layout::Expr> rhs = sum();
    skipSpace();
    if (!rhs || !text_.empty())
      return std::nullopt;
    using layout::Relation;
    if (*comparison == "==")
      return layout::Guard{Relation::Eq, *lhs, *rhs, {}};
    if (*comparison == "!=")
      return layout::Guard{Relation::Ne, *lhs, *rhs, {}};
    if (*comparison == "<=")
      return layout::Guard{Relation::Le, *lhs, *rhs, {}};
    if (*comparison == ">=")
      return layout::Guard{Relation::Le, *rhs, *lhs, {}};
    if (*comparison == "<")
      return layout::Guard{Relation::Lt, *lhs, *rhs, {}};
    return layout::Guard{Relation::Lt, *rhs, *lhs, {}};
  }

private:
  /// Deeper parentheses are not read: the text may come from anywhere.
  static constexpr int kMaxDepth = 100;

  void skipSpace() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front())))
      text_.remove_prefix(1);
  }
  bool consume(std::string_view word) {
    skipSpace();
    if (!text_.starts_with(word))
      return false;
    text_.remove_prefix(word.size());
    return true;
  }
  std::optional<std::string_view> comparisonSign() {
    for (std::string_view sign : {"==", "!=", "<=", ">=", "<", ">"})
      if (consume(sign))
        return sign;
    return std::nullopt;
  }

  std::optional<layout::Expr> sum() {
    std::optional<layout::Expr> result = product();
    while (result) {
      bool plus = consume("+");
      if (!plus && !consume("-"))
        break;
      std::optional<layout::Expr> term = product();
      if (!term)
        return std::nullopt;
      result = plus ? *result + *term : *result - *term;
    }
    return result;
  }

  std::optional<layout::Expr> product() {
    std::optional<layout::Expr> result = factor();
    while (result) {
      char op = consume("//") ? '/' : consume("%") ? '%' : consume("*") ? '*' : '\0';
      if (op == '\0')
        break;
      std::optional<layout::Expr> next = factor();
      if (!next || (op != '*' && next->isConstant(0)))
        return std::nullopt;
      result = op == '*'   ? *result * *next
               : op == '/' ? layout::floordiv(*result, *next)
                           : layout::mod(*result, *next);
    }
    return result;
  }

  std::optional<layout::Expr> factor() {
    if (++depth_ > kMaxDepth)
      return std::nullopt;
    std::optional<layout::Expr> result = unguardedFactor();
    --depth_;
    return result;
  }

  std::optional<layout::Expr> unguardedFactor() {
    if (consume("-")) {
      std::optional<layout::Expr> operand = factor();
      return operand ? std::optional(-*operand) : std::nullopt;
    }
    if (consume("(")) {
      std::optional<layout::Expr> inner = sum();
      return inner && consume(")") ? inner : std::nullopt;
    }
    if (consume("L['"))
      return size();
    return integer();
  }

  std::optional<layout::Expr> integer() {
    skipSpace();
    int64_t value = 0;
    auto [end, error] =
        std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc())
      return std::nullopt;
    text_.remove_prefix(end - text_.data());
    return layout::Expr(value);
  }

  /// After "L['": x'].size()[1], or a part of a nested argument: d']['k'][0].size()[1].
  std::optional<layout::Expr> size() {
    std::string name;
    do {
      size_t end = text_.find(text_.starts_with("[") ? "]" : "']");
      if (end == std::string_view::npos)
        return std::nullopt;
      std::string_view part = text_.substr(0, end);
      bool isIndex = part.starts_with("[");
      name += (name.empty() ? "" : "_") + std::string(part.substr(isIndex ? 1 : 0));
      text_.remove_prefix(end + (isIndex ? 1 : 2));
    } while (consume("['") || text_.starts_with("["));
    if (!consume(".size()["))
      return std::nullopt;
    std::optional<layout::Expr> dim = integer();
    if (!dim || !consume("]"))
      return std::nullopt;
    return sizeOfInput(name, dim->constant().value_or(-1));
  }

  std::optional<layout::Expr> sizeOfInput(const std::string &name, int64_t dim) const {
    for (const InputSpec &input : program_.inputs) {
      auto *ref = std::get_if<TensorRef>(&input.argument);
      if (!ref || input.name != name || input.kind != InputSpec::Kind::UserInput)
        continue;
      const TensorMeta &meta = program_.graph.tensor(*ref);
      if (dim >= 0 && dim < static_cast<int64_t>(meta.sizes.size()))
        return meta.sizes[dim];
    }
    return std::nullopt;
  }

  std::string_view text_;
  const Program &program_;
  int depth_ = 0;
};

std::optional<int64_t> hintOf(const Program &program, const std::string &symbol) {
  auto hint = program.hints.find(symbol);
  return hint == program.hints.end() ? std::nullopt : std::optional(hint->second);
}

} // namespace

std::vector<layout::Guard> declareSymbols(const Program &program,
                                          layout::Guards &guards) {
  for (const auto &[symbol, range] : program.ranges)
    guards.declare(symbol, range, hintOf(program, symbol));
  std::vector<layout::Guard> exported;
  for (const std::string &code : program.guardsCode) {
    std::optional<layout::Guard> guard = GuardParser(code, program).parse();
    if (!guard ||
        guards.query(guard->relation, guard->lhs, guard->rhs) == layout::Answer::Proven)
      continue;
    guards.assume(guard->relation, guard->lhs, guard->rhs);
    guard->reason = "exported with " + code;
    exported.push_back(*guard);
  }
  return exported;
}

ArrayAttr symbolsAttr(MLIRContext *context, const Program &program,
                      const layout::Guards &guards) {
  SmallVector<Attribute> symbols;
  for (const auto &[symbol, range] : program.ranges) {
    // Without an example, the smallest size that is not special.
    int64_t hint = hintOf(program, symbol)
                       .value_or(std::clamp<int64_t>(2, range.min,
                                                     std::max(range.min, range.max)));
    symbols.push_back(rt::SymbolAttr::get(context, symbol, range.min, range.max, hint));
  }
  for (const auto &[symbol, range] : guards.ranges())
    if (!program.ranges.contains(symbol))
      symbols.push_back(rt::SymbolAttr::get(context, symbol, range.min, range.max, 0));
  return ArrayAttr::get(context, symbols);
}

} // namespace rtorch::importer
