#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
void addPaddingRules(RuleTable &) {}
} // namespace rtorch::translate
