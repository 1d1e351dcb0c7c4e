#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
void addLossRules(RuleTable &) {}
} // namespace rtorch::translate
