// Questions about sizes and strides that may be open, and the checks they become.
#pragma once

#include "runtime/layout/Expr.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rtorch::layout {

/// A question over symbols is true for all values in their ranges, false for all, or
/// open.
enum class Answer : uint8_t { Refuted, Open, Proven };

struct Range {
  int64_t min = INT64_MIN;
  int64_t max = INT64_MAX;
  bool operator==(const Range &) const = default;
};

enum class Relation : uint8_t { Eq, Ne, Lt, Le };

/// A relation that was assumed because it was open; checked when the module is called.
struct Guard {
  Relation relation = Relation::Eq;
  Expr lhs, rhs;
  std::string reason; // "view of [s0, 6] as [s1, 12]"
  bool operator==(const Guard &) const = default;
};

/// Answers questions from the symbols' ranges. Open ones are decided by the example
/// values (hints) that the program was exported with, and recorded as guards, so that
/// a decision that does not hold for a call is refused at the door and never guessed.
class Guards {
public:
  /// Declares a symbol. `hint` is its value in the exported example; without one the
  /// smallest value >= 2 in the range is taken.
  void declare(const std::string &symbol, Range range,
               std::optional<int64_t> hint = std::nullopt);

  /// Takes a relation between symbols for granted (a relation of the exported program,
  /// which the contract checks anyway): later answers use it, no guard is recorded.
  void assume(Relation relation, const Expr &lhs, const Expr &rhs);
  /// Adds a guard that was decided elsewhere; later answers use it.
  void record(Guard guard);

  /// The expression with what is known put in: symbols that equal an expression or a
  /// constant, min, max, floordiv and mod that the ranges decide.
  Expr simplify(const Expr &expr) const;

  /// Bounds of an expression by interval arithmetic, saturating at the int64 limits.
  Range rangeOf(const Expr &expr) const;
  /// The answer without recording anything.
  Answer query(Relation relation, const Expr &lhs, const Expr &rhs) const;

  /// Whether the example values satisfy the relation; nullopt if they do not decide it
  /// (overflow, division by zero). Undeclared symbols count as 2.
  std::optional<bool> holdsForHints(Relation relation, const Expr &lhs,
                                    const Expr &rhs) const;

  /// The decisions: proven gives true, refuted gives false, open is decided by the
  /// hints and recorded (the negated relation if the hints say no).
  bool equal(const Expr &lhs, const Expr &rhs);
  bool less(const Expr &lhs, const Expr &rhs);
  bool lessEqual(const Expr &lhs, const Expr &rhs);

  /// What decisions from now on are for; goes into Guard::reason.
  void setReason(std::string reason) { reason_ = std::move(reason); }
  const std::vector<Guard> &recorded() const { return recorded_; }
  /// The ranges as declared.
  const std::map<std::string, Range> &ranges() const { return ranges_; }

private:
  bool decide(Relation relation, const Expr &lhs, const Expr &rhs);
  void learn(Relation relation, const Expr &lhs, const Expr &rhs);
  bool tighten(Relation relation, const Expr &difference);
  bool solve(const Expr &difference);
  Range rangeOfSymbol(const std::string &symbol) const;
  Range rangeOfAtom(const Atom &atom) const;
  Range rangeOfTerm(const Term &term) const;
  Range rangeOfSum(const Expr &expr, int depth) const;
  Range shiftedRange(const Expr &expr) const;
  Range factRange(const Expr &difference) const;
  Answer answerFor(Relation relation, const Expr &difference) const;

  std::map<std::string, Range> ranges_; // declared
  std::map<std::string, Range> tight_;  // with what assumptions and guards add
  std::map<std::string, Expr> solved_;  // symbols that equal an expression
  std::vector<Guard> facts_;            // the other assumptions and guards
  std::map<std::string, int64_t> hints_;
  std::vector<Guard> recorded_;
  std::string reason_;
};

} // namespace rtorch::layout
