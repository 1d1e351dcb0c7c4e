#include "compiler/import/ops/Rules.h"

using llvm::StringRef;

namespace rtorch::translate {

void addRule(RuleTable &table, std::initializer_list<StringRef> ops, OneResult rule) {
  auto translate = [rule = std::move(rule)](Call &call) -> Results {
    Value result = rule(call);
    if (!result)
      return mlir::failure();
    return std::vector<Value>{result};
  };
  addMultiRule(table, ops, translate);
}

void addMultiRule(RuleTable &table, std::initializer_list<StringRef> ops,
                  std::function<Results(Call &)> rule) {
  for (StringRef op : ops)
    table[op].translate = rule;
}

const RuleTable &ruleTable() {
  static const RuleTable table = [] {
    RuleTable table;
    addPointwiseRules(table);
    addActivationRules(table);
    addReductionRules(table);
    addNormRules(table);
    addContractionRules(table);
    addConvolutionRules(table);
    addEinsumRule(table);
    addViewRules(table);
    addConversionRules(table);
    addCreationRules(table);
    addIndexingRules(table);
    addRecurrentRules(table);
    addPoolingRules(table);
    addPaddingRules(table);
    addResampleRules(table);
    addTensorIndexRules(table);
    addScatterRules(table);
    addCompactionRules(table);
    addEmbeddingRules(table);
    addOrderRules(table);
    addLossRules(table);
    addActivationGradientRules(table);
    addConvolutionGradientRules(table);
    addIndexingGradientRules(table);
    addLossGradientRules(table);
    addNormGradientRules(table);
    addPoolingGradientRules(table);
    addStackingRules(table);
    addDiagonalRules(table);
    addProductRules(table);
    addDistanceRules(table);
    addCompositeRules(table);
    addSpecialRules(table);
    addRandomRules(table);
    addCheckRules(table);
    return table;
  }();
  return table;
}

Match findRule(StringRef op) {
  const RuleTable &table = ruleTable();
  if (auto rule = table.find(op); rule != table.end())
    return {&rule->second, false};
  // "aten.add_.Tensor": the functional twin is "aten.add.Tensor".
  auto [name, overload] = op.rsplit('.');
  if (!name.ends_with("_") || name.ends_with("__"))
    return {};
  // The one twin whose overload has another name.
  if (op == "aten.transpose_.default")
    overload = "int";
  std::string functional = (name.drop_back() + "." + overload).str();
  auto rule = table.find(functional);
  return rule == table.end() ? Match() : Match{&rule->second, true};
}

} // namespace rtorch::translate
