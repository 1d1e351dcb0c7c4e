// Sympy's srepr, as the export schema stores symbolic scalars, to expressions.
#pragma once

#include "compiler/import/Graph.h"
#include "runtime/archive/Error.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rtorch::importer {

/// A parsed srepr: a call `head(arguments...)`, a name (`true`), an integer or a
/// string.
struct Sympy {
  enum class Kind : uint8_t { Call, Name, Integer, String };
  Kind kind = Kind::Name;
  std::string text; // head, name, digits, or the string's content
  std::vector<Sympy> arguments;
  /// `positive=True` and kin of a call, as written.
  std::vector<std::pair<std::string, std::string>> keywords;
};

/// Parses e.g. "Add(Integer(1), Symbol('s77', positive=True, integer=True))". Fails
/// with the character at which the text stops being an srepr, or when calls nest more
/// than 200 deep.
archive::Result<Sympy> parseSympy(std::string_view text);

/// An integer expression. Fails on functions that integer expressions do not have
/// (true division, rounding of floats, Where, ...), on powers that are not a small
/// natural number, on a constant zero divisor, and on integers that leave int64.
archive::Result<layout::Expr> toIntExpr(const Sympy &sympy);

/// A relation of integer expressions, or And, Or, Not, true, false.
archive::Result<BoolExpr> toBoolExpr(const Sympy &sympy);

/// FloorToInt, CeilToInt and TruncToInt of a float that is an integer expression over a
/// power of two, exactly. Fails on others.
archive::Result<layout::Expr> toRoundedExpr(const Sympy &sympy);

/// Sums, products, quotients, powers, the functions of RealExpr, and integer
/// expressions, which become floats.
archive::Result<RealExpr> toRealExpr(const Sympy &sympy);

/// Adds the names of all symbols of the expression; those declared `positive=True` to
/// `positive`, too.
void collectSymbols(const Sympy &sympy, std::set<std::string> &all,
                    std::set<std::string> &positive);

} // namespace rtorch::importer
