#include "tools/rtorch-compile/ReportPrinter.h"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace rtorch::tools {

static std::string number(double value, const char *format) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// "1.2 MB", with the unit that gives one to three digits before the point.
static std::string bytes(uint64_t count) {
  const char *units[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(count);
  size_t unit = 0;
  while (value >= 1000 && unit < 4)
    value /= 1000, ++unit;
  return number(value, unit ? "%.1f " : "%.0f ") + units[unit];
}

std::string reportText(const compiler::Report &report, const std::string &output) {
  std::string text = output + ": " + report.model + " for " + report.targetCpu + " (" +
                     report.triple + ")\n";
  text += "  " + std::to_string(report.ops) + " ops, " +
          std::to_string(report.launches) + " kernels launched, " +
          std::to_string(report.distinctKernels) + " distinct";
  text += report.cachedKernels
              ? ", " + std::to_string(report.cachedKernels) + " from the cache\n"
              : "\n";
  text += "  " + number(report.totalSeconds, "%.2f s:");
  for (const auto &[phase, seconds] : report.seconds)
    text += " " + phase + number(seconds, " %.2f");
  text += "\n  file " + bytes(report.fileBytes) + ": code " + bytes(report.codeBytes) +
          ", constants " + bytes(report.constantBytes) + "; arena " +
          report.arenaBytes + " bytes; peak memory " + bytes(report.peakMemoryBytes) +
          "\n";
  if (report.foldedConstants)
    text += "  " + std::to_string(report.foldedConstants) +
            " constants computed while compiling, " + bytes(report.foldedBytes) + "\n";
  if (report.channelsLast)
    text += "  " + std::to_string(report.channelsLast) +
            " activations with the channels innermost, " +
            std::to_string(report.layoutCopies.size()) + " copied back\n";
  for (const std::string &user : report.layoutCopies)
    text += "    for " + user + "\n";
  for (const std::string &check : report.openChecks)
    text += "  checked at each call: " + check + "\n";
  return text;
}

std::string reportJson(const compiler::Report &report, const std::string &output) {
  nlohmann::ordered_json json;
  json["output"] = output;
  json["model"] = report.model;
  json["target_cpu"] = report.targetCpu;
  json["triple"] = report.triple;
  json["ops"] = report.ops;
  json["launches"] = report.launches;
  json["distinct_kernels"] = report.distinctKernels;
  json["cached_kernels"] = report.cachedKernels;
  json["folded_constants"] = report.foldedConstants;
  json["folded_bytes"] = report.foldedBytes;
  json["channels_last"] = report.channelsLast;
  json["layout_copies"] = report.layoutCopies;
  json["views"] = report.views;
  json["copies"] = nlohmann::ordered_json::array();
  for (const compiler::Report::Copy &copy : report.copies)
    json["copies"].push_back({{"place", copy.place}, {"bytes", copy.bytes}});
  json["layouts"] = report.layouts;
  for (const auto &[phase, seconds] : report.seconds)
    json["seconds"][phase] = seconds;
  json["kernel_seconds"] = nlohmann::ordered_json::object();
  for (const auto &[kernel, seconds] : report.kernelSeconds)
    json["kernel_seconds"][kernel] = seconds;
  json["total_s"] = report.totalSeconds;
  json["peak_memory_bytes"] = report.peakMemoryBytes;
  json["code_bytes"] = report.codeBytes;
  json["constant_bytes"] = report.constantBytes;
  json["file_bytes"] = report.fileBytes;
  json["arena_bytes"] = report.arenaBytes;
  json["open_checks"] = report.openChecks;
  return json.dump(2) + "\n";
}

} // namespace rtorch::tools
