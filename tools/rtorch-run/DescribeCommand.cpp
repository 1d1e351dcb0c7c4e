// rtorch-run MODULE --describe and --verify.
#include "tools/rtorch-run/Command.h"
#include "tools/rtorch-run/Support.h"

#include <algorithm>
#include <cstdio>
#include <map>

namespace rtorch::run {
namespace {

Json describeConstant(const Value &value) {
  return std::visit(
      [](const auto &leaf) -> Json {
        using T = std::decay_t<decltype(leaf)>;
        if constexpr (std::is_same_v<T, std::monostate> || std::is_same_v<T, Tensor>)
          return nullptr;
        else
          return leaf;
      },
      value.variant());
}

const char *kindOf(const ValueInfo &info) {
  static constexpr const char *names[] = {"none", "tensor", "bool",
                                          "int",  "float",  "string"};
  return info.is_constant ? "constant" : names[info.kind];
}

/// Sizes as numbers where they are fixed, as expressions where they are not.
Json mixed(const std::vector<std::string> &texts, const std::vector<int64_t> &fixed) {
  Json out = Json::array();
  for (size_t d = 0; d < texts.size(); ++d)
    out.push_back(std::to_string(fixed[d]) == texts[d] ? Json(fixed[d])
                                                       : Json(texts[d]));
  return out;
}

Json describeValue(const ValueInfo &info) {
  Json out = {{"name", info.name}, {"kind", kindOf(info)}};
  if (info.is_constant) {
    out["value"] = describeConstant(info.constant);
    return out;
  }
  if (info.kind != RTORCH_VALUE_TENSOR) {
    out["value"] = info.value;
    return out;
  }
  out["dtype"] = dtypeName(info.dtype);
  out["sizes"] = mixed(info.sizes, info.fixed_sizes);
  out["strides"] = mixed(info.strides, info.fixed_strides);
  if (info.alignment > 1)
    out["alignment"] = info.alignment;
  if (info.is_mutated)
    out["mutated"] = true;
  if (info.is_view)
    out["view_of"] = info.view_of;
  if (!info.needed_by.empty())
    out["needed_by"] = info.needed_by;
  if (!info.source.empty())
    out["source"] = info.source;
  return out;
}

Json describeValues(const std::vector<ValueInfo> &infos) {
  Json out = Json::array();
  for (const ValueInfo &info : infos)
    out.push_back(describeValue(info));
  return out;
}

/// Memory where the symbols are smallest and where they are largest (if that is
/// finite).
struct Extremes {
  std::optional<MemoryInfo> smallest, largest;
};

Extremes memoryExtremes(const Module &module, const ModuleInfo &info) {
  std::vector<int64_t> low, high;
  bool bounded = true;
  for (const SymbolInfo &symbol : info.symbols) {
    low.push_back(symbol.min);
    high.push_back(symbol.max);
    bounded = bounded && symbol.max != INT64_MAX;
  }
  Extremes out;
  if (auto memory = module.memory(low))
    out.smallest = *memory;
  if (auto memory = module.memory(high); memory && bounded)
    out.largest = *memory;
  return out;
}

Json describeMemory(const std::optional<MemoryInfo> &memory) {
  if (!memory)
    return nullptr;
  return {{"arena_bytes", memory->arena},
          {"result_bytes", memory->results},
          {"state_bytes", memory->states},
          {"peak_bytes", memory->peak}};
}

/// The steps up to `end`, loops and branches with their own steps within.
Json describeSteps(const std::vector<StepInfo> &steps, uint32_t &next, uint32_t end) {
  Json out = Json::array();
  while (next < end) {
    const StepInfo &step = steps[next++];
    if (step.kind == RTORCH_STEP_LAUNCH) {
      out.push_back({{"kind", "launch"},
                     {"name", step.name},
                     {"kernel", step.kernel},
                     {"source", step.source}});
      continue;
    }
    const bool loop = step.kind == RTORCH_STEP_LOOP;
    Json entry = {{"kind", loop ? "loop" : "branch"}};
    if (loop) {
      entry["trips"] = step.trips;
      entry["has_condition"] = step.has_condition;
    }
    const uint32_t behind = next + step.body;
    entry["body"] = describeSteps(steps, next, behind);
    if (!loop)
      entry["otherwise"] = describeSteps(steps, next, behind + step.otherwise);
    out.push_back(std::move(entry));
  }
  return out;
}

Json toJson(const ModuleInfo &info, const Extremes &memory) {
  Json out = {{"model", info.model},
              {"producer", info.producer},
              {"triple", info.triple},
              {"cpu", info.cpu},
              {"features", info.features},
              {"kernels", info.kernels},
              {"launches", info.launches},
              {"code_bytes", info.code_bytes},
              {"constant_bytes", info.constant_bytes},
              {"file_bytes", info.file_bytes}};
  Json levels = Json::array();
  for (const LevelInfo &level : info.levels)
    levels.push_back({{"cpu", level.cpu},
                      {"features", level.features},
                      {"kernels", level.kernels},
                      {"launches", level.launches}});
  out["levels"] = std::move(levels);
  out["level"] = info.level;
  uint32_t next = 0;
  out["schedule"] = describeSteps(info.steps, next, uint32_t(info.steps.size()));
  Json symbols = Json::array();
  for (const SymbolInfo &symbol : info.symbols)
    symbols.push_back(
        {{"name", symbol.name},
         {"min", symbol.min},
         {"max", symbol.max == INT64_MAX ? Json(nullptr) : Json(symbol.max)},
         {"argument", symbol.argument},
         {"dim", symbol.dim < 0 ? Json(nullptr) : Json(symbol.dim)}});
  out["symbols"] = std::move(symbols);
  out["arguments"] = describeValues(info.arguments);
  out["results"] = describeValues(info.results);
  out["buffers"] = describeValues(info.states);
  out["weights"] = describeValues(info.weights);
  Json checks = Json::array();
  for (const CheckInfo &check : info.checks)
    checks.push_back({{"relation", check.relation},
                      {"message", check.message},
                      {"source", check.source}});
  out["checks"] = std::move(checks);
  out["memory"] = {{"smallest", describeMemory(memory.smallest)},
                   {"largest", describeMemory(memory.largest)}};
  return out;
}

void printValues(const char *title, const std::vector<ValueInfo> &infos) {
  if (!infos.empty())
    std::printf("%s\n", title);
  for (size_t i = 0; i < infos.size(); ++i) {
    const ValueInfo &info = infos[i];
    std::printf("  %zu %s: ", i, info.name.c_str());
    if (info.is_constant)
      std::printf("constant %s", describeConstant(info.constant).dump().c_str());
    else if (info.kind != RTORCH_VALUE_TENSOR)
      std::printf("%s %s", kindOf(info), info.value.c_str());
    else
      std::printf("%s %s strides %s", dtypeName(info.dtype),
                  printList(info.sizes).c_str(), printList(info.strides).c_str());
    if (info.alignment > 1)
      std::printf(", aligned to %u", info.alignment);
    if (info.is_mutated)
      std::printf(", mutated");
    if (info.is_view)
      std::printf(", view of %s", info.view_of.c_str());
    if (!info.needed_by.empty())
      std::printf(", strides needed by '%s'", info.needed_by.c_str());
    if (!info.source.empty())
      std::printf(" at %s", info.source.c_str());
    std::printf("\n");
  }
}

void printMemory(const char *what, const std::optional<MemoryInfo> &memory) {
  if (memory)
    std::printf("  %s: peak %s (arena %s, results %s, buffers %s)\n", what,
                printBytes(uint64_t(memory->peak)).c_str(),
                printBytes(uint64_t(memory->arena)).c_str(),
                printBytes(uint64_t(memory->results)).c_str(),
                printBytes(uint64_t(memory->states)).c_str());
}

/// The schedule of a module with control flow: runs of launches, loops and branches.
void printSteps(const std::vector<StepInfo> &steps) {
  const auto isControl = [](const StepInfo &step) {
    return step.kind != RTORCH_STEP_LAUNCH;
  };
  if (std::ranges::none_of(steps, isControl))
    return;
  std::printf("schedule\n");
  std::map<uint32_t, uint32_t> otherwise; // begins of second arms, with their depths
  for (uint32_t i = 0; i < steps.size(); ++i) {
    const StepInfo &step = steps[i];
    const int indent = int(2 * step.depth + 2);
    if (const auto arm = otherwise.find(i); arm != otherwise.end())
      std::printf("%*selse\n", int(2 * arm->second + 2), "");
    if (step.kind == RTORCH_STEP_BRANCH) {
      std::printf("%*sif a value in memory holds\n", indent, "");
      if (step.otherwise != 0)
        otherwise[i + 1 + step.body] = step.depth;
    } else if (step.kind == RTORCH_STEP_LOOP) {
      std::printf("%*sloop, %s times%s\n", indent, "", step.trips.c_str(),
                  step.has_condition ? " at most, while a value in memory holds" : "");
    } else {
      uint32_t last = i;
      while (last + 1 < steps.size() && !isControl(steps[last + 1]) &&
             steps[last + 1].depth == step.depth && !otherwise.contains(last + 1))
        ++last;
      std::printf("%*s%u launch%s: %s%s%s\n", indent, "", last - i + 1,
                  last == i ? "" : "es", step.name.c_str(), last == i ? "" : " ... ",
                  last == i ? "" : steps[last].name.c_str());
      i = last;
    }
  }
}

void print(const ModuleInfo &info, const Extremes &memory) {
  std::printf("%s, compiled by %s for %s, CPU %s\n", info.model.c_str(),
              info.producer.c_str(), info.triple.c_str(), info.cpu.c_str());
  if (info.levels.size() == 1)
    std::printf("  needs %s\n", printList(info.features).c_str());
  for (size_t i = 0; i < info.levels.size() && info.levels.size() > 1; ++i)
    std::printf("  %s CPU %s: %u kernels; needs %s\n", i == info.level ? "*" : " ",
                info.levels[i].cpu.c_str(), info.levels[i].kernels,
                printList(info.levels[i].features).c_str());
  std::printf("  %u launches of %u kernels; code %s, constants %s\n", info.launches,
              info.kernels, printBytes(info.code_bytes).c_str(),
              printBytes(info.constant_bytes).c_str());
  if (!info.symbols.empty())
    std::printf("symbols\n");
  for (const SymbolInfo &symbol : info.symbols) {
    std::printf("  %s: %lld to %s, ", symbol.name.c_str(), (long long)symbol.min,
                symbol.max == INT64_MAX ? "any" : std::to_string(symbol.max).c_str());
    const char *argument = info.arguments[symbol.argument].name.c_str();
    if (symbol.dim < 0)
      std::printf("value of argument '%s'\n", argument);
    else
      std::printf("dimension %d of argument '%s'\n", symbol.dim, argument);
  }
  printValues("arguments", info.arguments);
  printValues("results", info.results);
  printValues("buffers that runs change", info.states);
  printValues("weights that the load brings", info.weights);
  if (!info.checks.empty())
    std::printf("checked at calls with new sizes\n");
  for (const CheckInfo &check : info.checks)
    std::printf("  %s: %s%s%s\n", check.relation.c_str(), check.message.c_str(),
                check.source.empty() ? "" : " at ", check.source.c_str());
  printSteps(info.steps);
  std::printf("memory of a run\n");
  printMemory(info.symbols.empty() ? "always" : "smallest sizes", memory.smallest);
  if (!info.symbols.empty())
    printMemory("largest sizes", memory.largest);
}

} // namespace

int describeModule(const Options &options) {
  auto module = Module::load(
      options.module,
      {.describe_only = true, .trust_constants = true, .cpu_level = options.cpu_level});
  if (!module)
    return fail(module.error());
  const ModuleInfo info = module->describe();
  const Extremes memory = memoryExtremes(*module, info);
  if (options.json)
    std::printf("%s\n", toJson(info, memory).dump(2).c_str());
  else
    print(info, memory);
  return kDone;
}

int verifyModule(const Options &options) {
  auto module =
      Module::load(options.module, {.describe_only = true, .trust_constants = false});
  if (!module)
    return fail(module.error());
  const ModuleInfo info = module->describe();
  if (options.json)
    std::printf("%s\n",
                Json{{"ok", true}, {"file_bytes", info.file_bytes}}.dump().c_str());
  else
    std::printf("%s: all %llu bytes are as they were written\n", options.module.c_str(),
                (unsigned long long)info.file_bytes);
  return kDone;
}

} // namespace rtorch::run
