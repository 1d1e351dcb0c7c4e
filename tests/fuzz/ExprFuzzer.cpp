// Any text as an expression or a relation in sympy's notation.
#include "compiler/import/SympyExpr.h"

#include <cstdint>

using namespace rtorch::importer;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto parsed = parseSympy({reinterpret_cast<const char *>(data), size});
  if (!parsed)
    return 0;
  std::set<std::string> all, positive;
  collectSymbols(*parsed, all, positive);
  if (auto expr = toIntExpr(*parsed))
    (void)expr->str();
  (void)toBoolExpr(*parsed);
  (void)toRoundedExpr(*parsed);
  (void)toRealExpr(*parsed);
  return 0;
}
