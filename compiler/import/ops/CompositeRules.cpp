#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
void addCompositeRules(RuleTable &) {}
} // namespace rtorch::translate
