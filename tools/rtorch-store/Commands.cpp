#include "tools/rtorch-store/Commands.h"

#include "tools/rtorch-store/Table.h"
#include "tools/rtorch-store/Units.h"

#include <chrono>
#include <cmath>
#include <iostream>

namespace rtorch::tools {

using store::Json;
using store::RunFile;

namespace {

Json numberJson(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json metricsJson(const RunFile &run) {
  Json out = Json::object();
  for (const auto &[name, metric] : run.metrics)
    out[name] = {
        {"count", metric.count},           {"last", numberJson(metric.last)},
        {"min", numberJson(metric.least)}, {"max", numberJson(metric.greatest)},
        {"mean", numberJson(metric.mean)}, {"p50", numberJson(metric.p50)},
        {"p90", numberJson(metric.p90)},   {"p99", numberJson(metric.p99)}};
  return out;
}

void printEntries(const std::string &title, const Json &object) {
  if (!object.is_object() || object.empty())
    return;
  std::cout << title << "\n";
  Table table({}, 100);
  for (const auto &[name, value] : object.items())
    if (!value.is_array() && !value.is_object())
      table.add({"  " + name, value.is_string() ? value.get<std::string>()
                              : value.is_number()
                                  ? printValue(unitOf(name), value.get<double>())
                                  : value.dump()});
  std::cout << table.text();
}

/// The members of an object of numbers, the largest first.
void printLargest(const std::string &title, const Json &object, size_t most) {
  if (!object.is_object() || object.empty())
    return;
  std::vector<std::pair<double, std::string>> rows;
  for (const auto &[name, value] : object.items())
    if (value.is_number())
      rows.emplace_back(value.get<double>(), name);
  std::ranges::stable_sort(rows, std::greater<>(),
                           [](const auto &row) { return row.first; });
  std::cout << title << "\n";
  Table table({});
  for (size_t i = 0; i < rows.size() && i < most; ++i)
    table.add({"  " + rows[i].second, printSeconds(rows[i].first)});
  std::cout << table.text();
}

void printList(const std::string &title, const Json &list) {
  if (!list.is_array() || list.empty())
    return;
  std::cout << title << "\n";
  for (const Json &each : list)
    std::cout << "  " << (each.is_string() ? each.get<std::string>() : each.dump())
              << "\n";
}

void printMetrics(const RunFile &run) {
  if (run.metrics.empty())
    return;
  Table table({"metric", "count", "min", "p50", "p90", "p99", "max"});
  for (const auto &[name, metric] : run.metrics)
    table.add(
        {name, std::to_string(metric.count), printValue(unitOf(name), metric.least),
         printValue(unitOf(name), metric.p50), printValue(unitOf(name), metric.p90),
         printValue(unitOf(name), metric.p99),
         printValue(unitOf(name), metric.greatest)});
  std::cout << table.text();
}

std::vector<RunFile> findAll(store::Store &store, const std::vector<std::string> &ids) {
  std::vector<RunFile> runs;
  for (const std::string &id : ids)
    runs.push_back(store.find(id));
  return runs;
}

} // namespace

int listRuns(store::Store &store, const store::Filter &filter, bool json) {
  std::vector<store::RunRow> rows = store.list(filter);
  if (json) {
    Json out = Json::array();
    for (const store::RunRow &row : rows)
      out.push_back({{"id", row.id},
                     {"kind", row.kind},
                     {"model", row.model},
                     {"status", row.status},
                     {"started_ns", row.startedNs},
                     {"seconds", row.seconds},
                     {"latency_s", row.latency ? Json(row.latency) : Json(nullptr)}});
    std::cout << out.dump(2) << "\n";
    return 0;
  }
  Table table({"run", "kind", "status", "started (UTC)", "took", "latency", "model"});
  for (const store::RunRow &row : rows)
    table.add({row.id, row.kind, row.status, printTime(row.startedNs),
               printSeconds(row.seconds), printSeconds(row.latency), row.model});
  std::cout << table.text();
  return 0;
}

int showRun(store::Store &store, const std::string &id, bool json) {
  RunFile run = store.find(id);
  if (json) {
    Json out = run.facts;
    out["status"] = run.status;
    out["metrics"] = metricsJson(run);
    out["problems"] = run.problems;
    std::cout << out.dump(2) << "\n";
    return 0;
  }
  std::cout << run.id << ": " << run.kind << ", " << run.status << ", "
            << printTime(run.startedNs) << " UTC, " << printSeconds(run.seconds())
            << "\n";
  for (const char *part : {"subject", "options", "host", "results"})
    if (run.facts.contains(part))
      printEntries(part, run.facts[part]);
  if (auto results = run.facts.find("results"); results != run.facts.end()) {
    printLargest("slowest phases", results->value("phases", Json()), 5);
    printLargest("slowest kernels", results->value("kernels", Json()), 5);
    printEntries("layouts", results->value("layouts", Json()));
    printList("copies that eager's strides or aliasing need",
              results->value("copies", Json()));
    printList("ops that need activations in rows again",
              results->value("layout_copies", Json()));
    printList("checked at each call", results->value("open_checks", Json()));
  }
  printMetrics(run);
  printList("problems", run.problems);
  return 0;
}

int compareRuns(store::Store &store, const std::vector<std::string> &ids, bool json) {
  std::vector<RunFile> runs = findAll(store, ids);
  store::Comparison result = store::compare(runs);
  if (json) {
    Json out{
        {"runs", Json::array()}, {"facts", Json::object()}, {"metrics", Json::array()}};
    for (const RunFile &run : runs)
      out["runs"].push_back(run.id);
    for (const store::Difference &row : result.facts)
      out["facts"][row.name] = row.values;
    for (const store::MetricDelta &row : result.metrics) {
      Json values = Json::array();
      for (double value : row.values)
        values.push_back(numberJson(value));
      out["metrics"].push_back({{"name", row.name},
                                {"values", values},
                                {"ratio", row.ratio ? Json(*row.ratio) : Json()}});
    }
    std::cout << out.dump(2) << "\n";
    return 0;
  }
  std::vector<std::string> header{"differs"};
  for (const RunFile &run : runs)
    header.push_back(run.id);
  Table facts(header, 40);
  for (const store::Difference &row : result.facts) {
    std::vector<std::string> cells{row.name};
    cells.insert(cells.end(), row.values.begin(), row.values.end());
    facts.add(cells);
  }
  header[0] = "number";
  header.push_back("last/first");
  Table metrics(header, 40);
  for (const store::MetricDelta &row : result.metrics) {
    std::vector<std::string> cells{row.name};
    for (double value : row.values)
      cells.push_back(printValue(unitOf(row.name), value));
    cells.push_back(row.ratio ? printNumber(*row.ratio) : "-");
    metrics.add(cells);
  }
  std::cout << facts.text() << "\n" << metrics.text();
  return 0;
}

int verifyRuns(store::Store &store, const std::vector<std::string> &ids, bool json) {
  size_t wrong = 0;
  Json out = Json::object();
  std::vector<std::string> all = ids.empty() ? store.ids() : ids;
  for (const std::string &id : all) {
    RunFile run = store.find(id);
    std::vector<std::string> problems = store::verify(run);
    if (problems.empty())
      continue;
    ++wrong;
    out[run.id] = problems;
    for (const std::string &problem : problems)
      if (!json)
        std::cout << run.id << ": " << problem << "\n";
  }
  if (json)
    std::cout << Json{{"runs", all.size()}, {"problems", out}}.dump(2) << "\n";
  else
    std::cout << all.size() << " runs, " << wrong << " with problems\n";
  return wrong ? 1 : 0;
}

int rebuildIndex(store::Store &store) {
  std::cout << store.rebuild() << " runs in the index\n";
  return 0;
}

int collectGarbage(store::Store &store, size_t keep, double days, bool dry) {
  using namespace std::chrono;
  int64_t now =
      duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  auto oldest = days > 0 ? now - static_cast<int64_t>(days * 86400e9) : INT64_MAX;
  size_t removed = 0, place = 0;
  for (const store::RunRow &row : store.list({})) {
    bool tooMany = keep > 0 && place++ >= keep;
    bool tooOld = days > 0 && row.startedNs < oldest;
    if (row.status == "running" || (!tooMany && !tooOld))
      continue;
    ++removed;
    if (!dry)
      store.remove(row.id);
  }
  std::cout << removed << (dry ? " runs would be removed\n" : " runs removed\n");
  return 0;
}

} // namespace rtorch::tools
