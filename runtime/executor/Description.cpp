#include "runtime/executor/Description.h"

#include "runtime/core/ExprTable.h"
#include "runtime/format/Text.h"

namespace rtorch::executor {

using format::Manifest;
using format::text;

namespace {

void describeSpec(const Manifest &manifest, const format::TensorSpec &spec,
                  DescribedTensor &out) {
  for (const auto *ids : {&spec.sizes, &spec.strides})
    for (format::ExprId id : *ids) {
      out.texts.push_back(core::printExpr(manifest, id));
      out.fixed.push_back(core::constantValue(manifest, id).value_or(-1));
    }
  for (const std::string &string : out.texts)
    out.text_pointers.push_back(string.c_str());
}

std::string describeStorage(const Manifest &manifest, const format::Storage &storage) {
  switch (storage.kind) {
  case format::StorageKind::Argument:
    return text("argument '", manifest.arguments[storage.index].name, "'");
  case format::StorageKind::Result:
    return text("result '", manifest.results[storage.index].name, "'");
  case format::StorageKind::Constant:
    return text("constant '", manifest.constants[storage.index].name, "'");
  case format::StorageKind::State:
    return text("buffer '", manifest.states[storage.index].name, "'");
  case format::StorageKind::Arena:
    break;
  }
  return "the arena";
}

std::string describeCheck(const Manifest &manifest, const format::Check &check) {
  static constexpr const char *relations[] = {" == ", " != ", " < ", " <= "};
  return text(core::printExpr(manifest, check.lhs), relations[size_t(check.relation)],
              core::printExpr(manifest, check.rhs));
}

/// Describes the steps from `first` to `end`, and those within them: they nest, as the
/// validator has checked.
void describeSteps(const Manifest &manifest, uint32_t first, uint32_t end,
                   uint32_t depth, std::vector<DescribedStep> &out) {
  for (uint32_t i = first; i < end; ++i) {
    const format::Step &step = manifest.steps[i];
    DescribedStep &described = out.emplace_back();
    described.depth = depth;
    if (step.kind == format::Step::Kind::Launch)
      continue;
    if (step.kind == format::Step::Kind::Loop)
      described.trips = core::printExpr(manifest, step.trips);
    const uint32_t inner = step.body + step.otherwise;
    describeSteps(manifest, i + 1, i + 1 + inner, depth + 1, out);
    i += inner;
  }
}

} // namespace

Description describe(const Manifest &manifest, std::span<const Manifest> levels) {
  Description out;
  for (const format::Argument &argument : manifest.arguments) {
    DescribedTensor &described = out.arguments.emplace_back();
    if (argument.kind == format::Argument::Kind::Tensor)
      describeSpec(manifest, argument.tensor, described);
    if (argument.kind == format::Argument::Kind::Int)
      described.value = core::printExpr(manifest, argument.value);
  }
  for (const format::Result &result : manifest.results) {
    DescribedTensor &described = out.results.emplace_back();
    if (result.kind == format::Result::Kind::Int)
      described.value = core::printExpr(manifest, result.value);
    if (result.kind == format::Result::Kind::Tensor ||
        result.kind == format::Result::Kind::View)
      describeSpec(manifest, result.tensor, described);
    if (result.kind == format::Result::Kind::View)
      described.view_of = describeStorage(manifest, manifest.storages[result.storage]);
  }
  for (const format::State &state : manifest.states)
    describeSpec(manifest, state.tensor, out.states.emplace_back());
  for (const format::Weight &weight : manifest.weights)
    describeSpec(manifest, weight.tensor, out.weights.emplace_back());
  for (const format::Check &check : manifest.checks)
    out.checks.push_back(describeCheck(manifest, check));
  describeSteps(manifest, 0, uint32_t(manifest.steps.size()), 0, out.steps);
  for (const Manifest &level : levels)
    for (auto &features = out.features.emplace_back();
         const std::string &feature : level.features)
      features.push_back(feature.c_str());
  return out;
}

} // namespace rtorch::executor
