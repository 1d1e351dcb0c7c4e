// A run as one file for other programs.
#include "runtime/record/Files.h"
#include "tools/rtorch-store/Commands.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>

namespace rtorch::tools {

using store::Json;

namespace {

Json recordsOf(const store::RunFile &run, const char *file) {
  std::vector<std::string> torn;
  Json out = Json::array();
  for (Json &line : store::readLines(run.directory / file, torn))
    out.push_back(std::move(line));
  return out;
}

/// {"run": ..., "events": [...], "metrics": [...], "trailer": {"rows": n, ...}}
std::string asJson(const store::RunFile &run) {
  Json out{{"schema", 1}, {"run", run.facts}};
  out["run"]["status"] = run.status;
  out["events"] = recordsOf(run, "events.jsonl");
  out["metrics"] = recordsOf(run, "metrics.jsonl");
  size_t rows = out["events"].size() + out["metrics"].size();
  out["trailer"] = {{"rows", rows}, {"complete", true}};
  return out.dump(2) + "\n";
}

std::string quotedForCsv(const std::string &text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos)
    return text;
  std::string out = "\"";
  for (char c : text)
    out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

/// seq,t,k,v of each metric record, and "# rows=n complete" at the end.
std::string asCsv(const store::RunFile &run) {
  std::string out = "seq,t_ns,metric,value\n";
  Json records = recordsOf(run, "metrics.jsonl");
  auto plain = [](const Json &value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  for (const Json &record : records)
    out += plain(record.value("seq", Json())) + "," + plain(record.value("t", Json())) +
           "," + quotedForCsv(plain(record.value("k", Json()))) + "," +
           plain(record.value("v", Json())) + "\n";
  return out + "# rows=" + std::to_string(records.size()) + " complete\n";
}

} // namespace

int exportRun(store::Store &store, const std::string &id, const std::string &format,
              const std::string &output) {
  store::RunFile run = store.find(id);
  std::string text = format == "csv" ? asCsv(run) : asJson(run);
  writeOutput(output, text);
  return 0;
}

void writeOutput(const std::string &path, const std::string &text) {
  if (path.empty()) {
    std::cout << text << std::flush;
    if (!std::cout)
      throw std::runtime_error("cannot write to stdout");
    return;
  }
  std::error_code none;
  std::string error;
  if (std::filesystem::is_other(path, none)) { // a device or pipe is not replaced
    std::ofstream stream(path);
    if (!(stream << text << std::flush))
      error = "cannot write '" + path + "'";
  } else {
    error = record::replaceFile(path, text);
  }
  if (!error.empty())
    throw std::runtime_error(error);
}

} // namespace rtorch::tools
