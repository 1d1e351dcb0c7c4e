// The table of PyTorch's ops: one row an overload, with the rule that translates it.
#pragma once

#include "compiler/import/ops/Call.h"

#include "llvm/ADT/StringMap.h"

#include <initializer_list>
#include <string>

namespace rtorch::translate {

/// The node's tensors in order; null ones for results that nothing uses.
using Results = mlir::FailureOr<std::vector<Value>>;

struct Rule {
  std::function<Results(Call &)> translate;
  /// Why this use of the op is not supported; empty if it is. Runs on the whole graph
  /// before anything is translated.
  std::function<std::string(const importer::Graph &, const importer::Node &)> refuse;
  /// The op gives another geometry of the same memory: in place it changes what its
  /// operand means, and not the values.
  bool isView = false;
};

/// Rules by overload: "aten.add.Tensor".
using RuleTable = llvm::StringMap<Rule>;

using OneResult = std::function<Value(Call &)>;

/// A row for an op with one result.
void addRule(RuleTable &table, std::initializer_list<llvm::StringRef> ops,
             OneResult rule);
/// A row for an op with several results, or a list.
void addMultiRule(RuleTable &table, std::initializer_list<llvm::StringRef> ops,
                  std::function<Results(Call &)> rule);

void addPointwiseRules(RuleTable &table);
void addActivationRules(RuleTable &table);
void addReductionRules(RuleTable &table);
void addNormRules(RuleTable &table);
void addContractionRules(RuleTable &table);
void addConvolutionRules(RuleTable &table);
void addEinsumRule(RuleTable &table);
void addViewRules(RuleTable &table);
void addConversionRules(RuleTable &table);
void addCreationRules(RuleTable &table);
void addIndexingRules(RuleTable &table);
void addRecurrentRules(RuleTable &table);
void addPoolingRules(RuleTable &table);
void addPaddingRules(RuleTable &table);
void addResampleRules(RuleTable &table);
void addTensorIndexRules(RuleTable &table);
void addScatterRules(RuleTable &table);
void addCompactionRules(RuleTable &table);
void addEmbeddingRules(RuleTable &table);
void addOrderRules(RuleTable &table);
void addLossRules(RuleTable &table);
void addActivationGradientRules(RuleTable &table);
void addConvolutionGradientRules(RuleTable &table);
void addIndexingGradientRules(RuleTable &table);
void addLossGradientRules(RuleTable &table);
void addNormGradientRules(RuleTable &table);
void addPoolingGradientRules(RuleTable &table);
void addStackingRules(RuleTable &table);
void addDiagonalRules(RuleTable &table);
void addProductRules(RuleTable &table);
void addDistanceRules(RuleTable &table);
void addCompositeRules(RuleTable &table);
void addSpecialRules(RuleTable &table);
void addRandomRules(RuleTable &table);
void addCheckRules(RuleTable &table);

/// All rules.
const RuleTable &ruleTable();

/// How an op is translated: its rule, and whether the result is written to `self`.
struct Match {
  const Rule *rule = nullptr;
  bool inPlace = false;
};

/// The rule of "aten.add.Tensor", or of the functional twin of "aten.add_.Tensor"; no
/// rule if there is none.
Match findRule(llvm::StringRef op);

} // namespace rtorch::translate
