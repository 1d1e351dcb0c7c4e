#include "tools/rtorch-compile/Record.h"

#include "tools/recording/Recording.h"

#include <nlohmann/json.hpp>

#include <filesystem>

namespace rtorch::tools {

using Json = nlohmann::ordered_json;
using record::Fields;

static record::Json raw(const Json &json) {
  // A path may hold bytes that are no UTF-8.
  return {json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Fields factsOfCompile(const std::string &input, const std::string &output,
                      const std::string &emit, const compiler::Options &options) {
  std::error_code ignored;
  Json subject{{"path", std::filesystem::absolute(input, ignored).string()},
               {"hash", hashOfArchive(input)},
               {"output", output}};
  Json choices{{"target_cpu", options.targetCpu.empty() ? "native" : options.targetCpu},
               {"target", options.target},
               {"emit", emit},
               {"threads", options.threads},
               {"weights", options.weights},
               {"winograd", options.winograd},
               {"cross_check", options.crossCheck}};
  return {{"model", std::filesystem::path(input).stem().string()},
          {"subject", raw(subject)},
          {"options", raw(choices)},
          {"versions",
           raw({{"rtorch", RTORCH_VERSION}, {"llvm", compiler::llvmDescription()}})}};
}

Fields resultsOfCompile(const compiler::Report &report, const std::string &error) {
  Fields results;
  if (!error.empty())
    results.emplace_back("error", error);
  Json phases = Json::object(), kernels = Json::object(), copies = Json::array();
  for (const auto &[phase, seconds] : report.seconds)
    phases[phase] = seconds;
  for (const auto &[kernel, seconds] : report.kernelSeconds)
    kernels[kernel] = seconds;
  int64_t copied = 0;
  for (const compiler::Report::Copy &copy : report.copies) {
    copies.push_back(copy.place + ": " + copy.bytes + " bytes");
    copied += copy.exampleBytes;
  }
  Fields facts{{"target_cpu", report.targetCpu},
               {"triple", report.triple},
               {"total_s", report.totalSeconds},
               {"ops", report.ops},
               {"launches", report.launches},
               {"distinct_kernels", report.distinctKernels},
               {"cached_kernels", report.cachedKernels},
               {"folded_constants", report.foldedConstants},
               {"views", report.views},
               {"copied_bytes", copied},
               {"peak_memory_bytes", report.peakMemoryBytes},
               {"code_bytes", report.codeBytes},
               {"constant_bytes", report.constantBytes},
               {"file_bytes", report.fileBytes},
               {"arena_bytes", report.arenaBytes},
               {"phases", raw(phases)},
               {"kernels", raw(kernels)},
               {"layouts", raw(report.layouts)},
               {"copies", raw(copies)},
               {"channels_last", report.channelsLast},
               {"layout_copies", raw(report.layoutCopies)},
               {"open_checks", raw(report.openChecks)}};
  results.insert(results.end(), facts.begin(), facts.end());
  return results;
}

} // namespace rtorch::tools
