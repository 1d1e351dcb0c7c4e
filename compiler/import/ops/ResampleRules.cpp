#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
void addResampleRules(RuleTable &) {}
} // namespace rtorch::translate
