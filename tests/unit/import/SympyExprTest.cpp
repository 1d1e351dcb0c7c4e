#include "compiler/import/SympyExpr.h"

#include <catch2/catch.hpp>

using namespace rtorch::importer;
using rtorch::archive::Result;
using rtorch::layout::Expr;

namespace {

const std::string kA = "Symbol('s0', positive=True, integer=True)";
const std::string kB = "Symbol('u1', integer=True)";

Expr read(const std::string &text) {
  auto sympy = parseSympy(text);
  REQUIRE(sympy.ok());
  auto expr = toIntExpr(*sympy);
  INFO((expr ? "" : expr.message()));
  REQUIRE(expr.ok());
  return *expr;
}

std::string refusal(const std::string &text) {
  auto sympy = parseSympy(text);
  if (!sympy)
    return sympy.message();
  auto expr = toIntExpr(*sympy);
  REQUIRE_FALSE(expr.ok());
  return expr.message();
}

/// The value with s0 = 7, u1 = -3.
int64_t valueOf(const std::string &text) {
  return read(text).evaluate({{"s0", 7}, {"u1", -3}}).value();
}

bool holds(const std::string &text) {
  auto sympy = parseSympy(text);
  REQUIRE(sympy.ok());
  auto expr = toBoolExpr(*sympy);
  REQUIRE(expr.ok());
  return expr->evaluate({{"s0", 7}, {"u1", -3}}).value();
}

} // namespace

TEST_CASE("every form of integer expression has sympy's value", "[sympy]") {
  CHECK(valueOf("Integer(-12)") == -12);
  CHECK(valueOf(kA) == 7);
  CHECK(valueOf("Add(" + kA + ", " + kB + ", Integer(1))") == 5);
  CHECK(valueOf("Mul(Integer(-2), " + kA + ", " + kB + ")") == 42);
  CHECK(valueOf("Pow(" + kA + ", Integer(3))") == 343);
  CHECK(valueOf("PowByNatural(" + kB + ", Integer(2))") == 9);
  CHECK(valueOf("FloorDiv(" + kB + ", Integer(2))") == -2);
  CHECK(valueOf("CleanDiv(" + kA + ", Integer(7))") == 1);
  CHECK(valueOf("CeilDiv(" + kA + ", Integer(2))") == 4);
  CHECK(valueOf("PythonMod(" + kB + ", Integer(5))") == 2);
  CHECK(valueOf("Mod(" + kA + ", Integer(4))") == 3);
  CHECK(valueOf("ModularIndexing(" + kA + ", Integer(2), Integer(2))") == 1);
  CHECK(valueOf("Max(Integer(1), " + kB + ", " + kA + ")") == 7);
  CHECK(valueOf("Min(Integer(1), " + kB + ", " + kA + ")") == -3);
  CHECK(valueOf("Identity(Add(Integer(1), " + kA + "))") == 8);
  CHECK(valueOf("LShift(" + kA + ", Integer(4))") == 112);
  CHECK(valueOf("RShift(" + kA + ", Integer(1))") == 3);
  CHECK(valueOf("Integer(9223372036854775807)") == INT64_MAX);
}

TEST_CASE("equal polynomials are equal expressions", "[sympy]") {
  CHECK(read("Mul(Add(" + kA + ", Integer(1)), Integer(2))") ==
        read("Add(Integer(2), Mul(" + kA + ", Integer(2)))"));
}

TEST_CASE("what is no integer expression is refused by name", "[sympy]") {
  using Catch::Contains;
  CHECK_THAT(refusal("IntTrueDiv(" + kA + ", Integer(2))"), Contains("'IntTrueDiv'"));
  CHECK_THAT(refusal("Add(Integer(1), RoundToInt(Float('1.5', precision=53)))"),
             Contains("'RoundToInt'"));
  CHECK_THAT(refusal("Rational(1, 2)"), Contains("'Rational'"));
  CHECK_THAT(refusal("true"), Contains("'true'"));
  CHECK_THAT(refusal("Pow(" + kA + ", Integer(-1))"), Contains("exponent"));
  CHECK_THAT(refusal("Pow(Integer(2), " + kA + ")"), Contains("exponent"));
  CHECK_THAT(refusal("FloorDiv(" + kA + ", Integer(0))"), Contains("by zero"));
  CHECK_THAT(refusal("PythonMod(" + kA + ", Integer(0))"), Contains("by zero"));
  CHECK_THAT(refusal("Integer(9223372036854775808)"), Contains("int64"));
  CHECK_THAT(refusal("Mul(Integer(4611686018427387904), Integer(4))"),
             Contains("int64"));
  CHECK_THAT(refusal("FloorDiv(" + kA + ")"), Contains("operands"));
  CHECK_THAT(refusal("Add()"), Contains("operands"));
  CHECK_THAT(refusal("Symbol('a b')"), Contains("symbol"));
  CHECK_THAT(refusal("Symbol(Integer(1))"), Contains("symbol"));
}

TEST_CASE("text that is no srepr is refused", "[sympy]") {
  for (const char *text : {"", "Add(", "Add(Integer(1)", "Add(Integer(1),)", "1 + 2",
                           "Add(Integer(1))x", "Symbol('s0", "-", "(1)", "Add(,)",
                           "Symbol('s', positive=)", "Integer(\x01)"}) {
    INFO(text);
    CHECK_FALSE(parseSympy(text).ok());
  }
}

TEST_CASE("nesting and expansion are bounded", "[sympy]") {
  std::string deep;
  for (int i = 0; i < 100000; ++i)
    deep += "A(";
  CHECK_THAT(parseSympy(deep).message(), Catch::Contains("deep"));
  std::string power = "Add(" + kA + ", " + kB + ", Integer(1))";
  for (int i = 0; i < 20; ++i)
    power = "Pow(" + power + ", Integer(8))";
  CHECK_THAT(refusal(power), Catch::Contains("too large"));
  std::string single = kA;
  for (int i = 0; i < 100; ++i)
    single = "Pow(" + single + ", Integer(64))";
  CHECK_THAT(refusal(single), Catch::Contains("too large"));
}

TEST_CASE("relations are read and evaluated", "[sympy]") {
  CHECK(holds("GreaterThan(" + kA + ", Integer(7))"));
  CHECK_FALSE(holds("StrictGreaterThan(" + kA + ", Integer(7))"));
  CHECK(holds("LessThan(" + kB + ", Integer(-3))"));
  CHECK_FALSE(holds("StrictLessThan(" + kB + ", Integer(-3))"));
  CHECK(holds("Equality(Add(" + kA + ", " + kB + "), Integer(4))"));
  CHECK(holds("And(true, Or(Unequality(" + kA + ", Integer(7)), Not(false)))"));
  CHECK_FALSE(toBoolExpr(*parseSympy("Xor(true, false)")).ok());
  CHECK_FALSE(toBoolExpr(*parseSympy("Not(true, false)")).ok());
  CHECK_FALSE(toBoolExpr(*parseSympy("Equality(Integer(1))")).ok());
}

TEST_CASE("floats that are exact round to integer expressions", "[sympy]") {
  auto rounded = [](const std::string &text) { return toIntExpr(*parseSympy(text)); };
  std::string scaled = "Mul(Float('1.5', precision=53), ToFloat(" + kA + "))";
  CHECK(rounded("FloorToInt(" + scaled + ")")->str() == "s0 + floordiv(s0, 2)");
  CHECK(rounded("TruncToInt(" + scaled + ")")->str() == "s0 + floordiv(s0, 2)");
  std::string half = "FloatTrueDiv(ToFloat(" + kA + "), Float('0.5', precision=53))";
  CHECK(rounded("CeilToInt(" + half + ")")->str() == "2*s0");
  for (std::string factor : {"0.1", "1e300", "1e-300"})
    CHECK_FALSE(
        rounded("FloorToInt(Mul(Float('" + factor + "', precision=53), " + kA + "))"));
  CHECK_FALSE(rounded("TruncToInt(Mul(Float('-0.5', precision=53), " + kA + "))"));
  // Toward zero is down only where no symbol is negative.
  CHECK_FALSE(
      rounded("TruncToInt(IntTrueDiv(Symbol('u0', integer=True), Integer(2)))"));
  CHECK_FALSE(rounded("FloorToInt(IntTrueDiv(" + kA + ", Integer(3)))"));
}

TEST_CASE("floats are numbers, converted integers, and what is computed of them",
          "[sympy]") {
  auto real = [](const std::string &text) { return toRealExpr(*parseSympy(text)); };
  using Kind = RealExpr::Kind;
  Result<RealExpr> constant = real("Float('1.5', precision=53)");
  REQUIRE(constant);
  CHECK(constant->kind == Kind::Constant);
  CHECK(constant->value == 1.5);
  Result<RealExpr> converted = real("ToFloat(" + kA + ")");
  REQUIRE(converted);
  CHECK(converted->kind == Kind::Integer);
  CHECK(converted->integer == Expr::symbol("s0"));
  Result<RealExpr> root =
      real("FloatPow(IntTrueDiv(" + kA + ", Integer(2)), Float('0.5', precision=53))");
  REQUIRE(root);
  CHECK(root->kind == Kind::Pow);
  REQUIRE(root->operands.size() == 2);
  CHECK(root->operands[0].kind == Kind::Div);
  CHECK(root->operands[1].value == 0.5);
  CHECK(real("OpaqueUnaryFn_acosh(" + kA + ")").message() ==
        "'OpaqueUnaryFn_acosh' is not supported in a float over sizes");
  CHECK(real("FloatTrueDiv(" + kA + ")").message() ==
        "'FloatTrueDiv' has 1 operands; expected 2");
  CHECK(real("Float('1.5x', precision=53)").message() == "'1.5x' is not a number");
}
