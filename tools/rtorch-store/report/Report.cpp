// rtorch-store report RUN... -o report.html
#include "tools/rtorch-store/Commands.h"
#include "tools/rtorch-store/Table.h"
#include "tools/rtorch-store/report/Charts.h"
#include "tools/rtorch-store/report/Html.h"
#include "tools/rtorch-store/report/Page.h"
#include "tools/rtorch-store/report/RunSection.h"

#include <cmath>
#include <set>

namespace rtorch::tools {

using store::RunFile;

namespace {

std::string titleOf(const std::vector<RunFile> &runs) {
  std::string models;
  std::set<std::string> seen;
  for (const RunFile &run : runs)
    if (!run.model.empty() && seen.insert(run.model).second)
      models += (models.empty() ? "" : ", ") + run.model;
  return models.empty() ? "rtorch runs" : shortened(models, 80) + " in rtorch";
}

/// All runs with links to their sections.
std::string overview(const std::vector<RunFile> &runs) {
  std::string items;
  for (size_t i = 0; i < runs.size(); ++i)
    items += element("li", link("#run-" + std::to_string(i + 1), runName(runs[i], i)) +
                               escaped(", " + runs[i].status + ", " +
                                       printTime(runs[i].startedNs) + " UTC"));
  return element("nav", element("ul", items), "aria-label=\"Runs\"");
}

/// The main numbers that several runs have, a chart for each: medians, with a line from
/// the least value to p99 where they are of a metric.
std::string comparisonCharts(const std::vector<RunFile> &runs,
                             const store::Comparison &comparison) {
  std::string html;
  for (const store::MetricDelta &row : comparison.metrics) {
    if (!store::isMainNumber(row.name))
      continue;
    std::vector<Bar> bars;
    for (size_t i = 0; i < runs.size(); ++i) {
      if (!std::isfinite(row.values[i]))
        continue;
      Bar bar{runName(runs[i], i), row.values[i]};
      if (auto metric = runs[i].metrics.find(row.name);
          metric != runs[i].metrics.end() && std::isfinite(metric->second.least) &&
          std::isfinite(metric->second.p99))
        bar.range = {metric->second.least, metric->second.p99};
      bars.push_back(std::move(bar));
    }
    if (bars.size() < 2)
      continue;
    const Unit unit = unitOf(row.name);
    const bool isMetric = bars.front().range.has_value();
    html += barChart(row.name, isMetric ? "median; the line goes to p99" : "value",
                     unit, bars);
  }
  return html;
}

std::string factsTable(const std::vector<RunFile> &runs,
                       const store::Comparison &comparison) {
  std::vector<HtmlTable::Column> columns{{"fact"}};
  for (size_t i = 0; i < runs.size(); ++i)
    columns.push_back({runName(runs[i], i)});
  HtmlTable table("What differs", columns);
  for (const store::Difference &row : comparison.facts) {
    std::vector<std::string> cells{row.name};
    cells.insert(cells.end(), row.values.begin(), row.values.end());
    table.add(cells);
  }
  return table.isEmpty() ? element("p", "Nothing but numbers differs.") : table.html();
}

std::string numbersTable(const std::vector<RunFile> &runs,
                         const store::Comparison &comparison) {
  std::vector<HtmlTable::Column> columns{{"number"}};
  for (size_t i = 0; i < runs.size(); ++i)
    columns.push_back({runName(runs[i], i), true});
  columns.push_back({"last to first", true});
  constexpr size_t kShown = 12;
  HtmlTable shown("Numbers, the largest change first", columns),
      more("Further numbers", columns);
  for (size_t i = 0; i < comparison.metrics.size(); ++i) {
    const store::MetricDelta &row = comparison.metrics[i];
    std::vector<std::string> cells{row.name};
    for (double value : row.values)
      cells.push_back(printValue(unitOf(row.name), value));
    cells.push_back(printChange(row.ratio));
    (i < kShown ? shown : more).add(cells);
  }
  if (shown.isEmpty())
    return "";
  return shown.html() +
         (more.isEmpty() ? ""
                         : folded(std::to_string(comparison.metrics.size() - kShown) +
                                      " more numbers",
                                  more.html()));
}

std::string differences(const std::vector<RunFile> &runs) {
  if (runs.size() < 2)
    return "";
  const store::Comparison comparison = store::compare(runs);
  return element("section",
                 element("h2", "Differences") + comparisonCharts(runs, comparison) +
                     factsTable(runs, comparison) + numbersTable(runs, comparison),
                 "id=\"differences\"");
}

} // namespace

int reportRuns(store::Store &store, const std::vector<std::string> &ids,
               const std::string &output) {
  std::vector<RunFile> runs;
  for (const std::string &id : ids)
    runs.push_back(store.find(id));
  const std::string title = titleOf(runs);
  std::string sections;
  for (size_t i = 0; i < runs.size(); ++i)
    sections += runSection(runs[i], i);
  const std::string body =
      element("header", element("h1", escaped(title)) + overview(runs)) +
      element("main", differences(runs) + sections);
  writeOutput(output, page(title, body));
  return 0;
}

} // namespace rtorch::tools
