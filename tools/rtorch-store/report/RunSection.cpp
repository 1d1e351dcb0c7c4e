#include "tools/rtorch-store/report/RunSection.h"

#include "tools/rtorch-store/Table.h"
#include "tools/rtorch-store/report/Charts.h"
#include "tools/rtorch-store/report/Html.h"

#include <algorithm>
#include <functional>
#include <map>

namespace rtorch::tools {

using store::Json;
using store::RunFile;

namespace {

std::string textOf(const Json &value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json &member(const Json &object, const char *name) {
  static const Json none;
  if (!object.is_object())
    return none;
  auto found = object.find(name);
  return found == object.end() ? none : *found;
}

std::vector<std::string> strings(const Json &list) {
  std::vector<std::string> out;
  if (list.is_array())
    for (const Json &each : list)
      out.push_back(textOf(each));
  return out;
}

/// The numbers of an object as bars.
std::vector<Bar> barsOf(const Json &object) {
  std::vector<Bar> bars;
  if (object.is_object())
    for (const auto &[name, value] : object.items())
      if (value.is_number())
        bars.push_back({name, value.get<double>()});
  return bars;
}

/// The largest `most`, and what the others sum up to.
std::vector<Bar> largest(std::vector<Bar> bars, size_t most) {
  std::ranges::stable_sort(bars, std::greater<>(), &Bar::value);
  if (bars.size() <= most + 1)
    return bars;
  Bar others{std::to_string(bars.size() - most) + " others", 0};
  for (size_t i = most; i < bars.size(); ++i)
    others.value += bars[i].value;
  bars.resize(most);
  bars.push_back(std::move(others));
  return bars;
}

std::string chartOf(const std::string &title, const std::string &axis, Unit unit,
                    const std::vector<Bar> &bars) {
  return bars.empty() ? "" : barChart(title, axis, unit, bars);
}

std::string titledList(const std::string &title, const std::string &why,
                       const std::vector<std::string> &items) {
  if (items.empty())
    return "";
  return element("h3", escaped(title)) + element("p", escaped(why), "class=\"note\"") +
         list(items);
}

/// The leaves of a fact, "options.threads".
void addLeaves(const std::string &name, const Json &value, HtmlTable &table) {
  if (value.is_object())
    for (const auto &[key, each] : value.items())
      addLeaves(name + "." + key, each, table);
  else
    table.add({name, textOf(value)});
}

std::string factsTable(const RunFile &run) {
  HtmlTable table("What ran, with which options, where", {{"fact"}, {"value"}});
  for (const char *part : {"subject", "options", "versions", "host", "process"})
    if (const Json &value = member(run.facts, part); !value.is_null())
      addLeaves(part, value, table);
  return table.isEmpty() ? "" : folded("Options, versions and machine", table.html());
}

std::string resultsTable(const Json &results) {
  HtmlTable table("Results", {{"number"}, {"value", true}});
  if (!results.is_object())
    return "";
  for (const auto &[name, value] : results.items()) {
    if (value.is_number())
      table.add({name, printValue(unitOf(name), value.get<double>())});
    else if ((value.is_string() || value.is_boolean()) && name != "error")
      table.add({name, textOf(value)});
  }
  return table.isEmpty() ? "" : table.html();
}

std::string metricsTable(const RunFile &run) {
  if (run.metrics.empty())
    return "";
  HtmlTable table("Metrics", {{"metric"},
                              {"count", true},
                              {"least", true},
                              {"p50", true},
                              {"p90", true},
                              {"p99", true},
                              {"greatest", true},
                              {"last", true}});
  for (const auto &[name, metric] : run.metrics) {
    std::vector<std::string> cells{name, std::to_string(metric.count)};
    for (double value : {metric.least, metric.p50, metric.p90, metric.p99,
                         metric.greatest, metric.last})
      cells.push_back(printValue(unitOf(name), value));
    table.add(cells);
  }
  return table.html();
}

/// The values of each metric in their order.
std::map<std::string, std::vector<double>> seriesOf(const RunFile &run) {
  std::map<std::string, std::vector<double>> series;
  std::vector<std::string> torn; // told by verify
  for (const Json &record : store::readLines(run.directory / "metrics.jsonl", torn))
    if (record.contains("v"))
      series[textOf(member(record, "k"))].push_back(store::numberOf(record["v"]));
  return series;
}

std::string metricCharts(const RunFile &run) {
  constexpr size_t kShown = 4;
  std::string shown, more;
  size_t count = 0;
  for (const auto &[name, values] : seriesOf(run)) {
    if (values.size() < 2)
      continue;
    std::vector<std::pair<std::string, double>> quantiles;
    if (auto metric = run.metrics.find(name);
        metric != run.metrics.end() && unitOf(name) == Unit::Seconds)
      quantiles = {{"p50", metric->second.p50},
                   {"p90", metric->second.p90},
                   {"p99", metric->second.p99}};
    (count++ < kShown ? shown : more) +=
        seriesChart(name, "value, in order", unitOf(name), values, quantiles);
  }
  if (!more.empty())
    shown += folded(std::to_string(count - kShown) + " more metrics", more);
  return shown;
}

std::string compileCharts(const Json &results) {
  return chartOf("Phases", "time", Unit::Seconds, barsOf(member(results, "phases"))) +
         chartOf("Slowest kernels to compile", "time", Unit::Seconds,
                 largest(barsOf(member(results, "kernels")), 12));
}

std::string layoutsAndCopies(const Json &results) {
  std::string html = chartOf("Layouts", "tensors", Unit::Plain,
                             largest(barsOf(member(results, "layouts")), 12));
  html += titledList("Copies", "Made because eager's strides or aliasing need them.",
                     strings(member(results, "copies")));
  html += titledList("Back to rows",
                     "Activations have the channels innermost; these ops need them in "
                     "rows, which costs a copy each.",
                     strings(member(results, "layout_copies")));
  if (const Json &copies = member(results, "argument_copies");
      copies.is_number() && copies.get<double>() > 0)
    html += titledList(
        "Copied arguments",
        "Their strides or alignment are not the module's, and the caller "
        "asked for copies.",
        {copies.dump() + " arguments, " +
         printValue(Unit::Bytes, store::numberOf(member(results, "copied_bytes")))});
  return html + titledList("Checked at each call",
                           "Relations that could not be proven while compiling.",
                           strings(member(results, "open_checks")));
}

/// A launch of a profiled run.
struct Launch {
  std::string kernel, name, source;
  uint32_t thread = 0;
  double begin = 0, end = 0;
};

std::vector<Launch> launchesOf(const RunFile &run) {
  std::vector<Launch> launches;
  std::vector<std::string> torn;
  auto word = [](const Json &event, const char *name) {
    const Json &value = member(event, name);
    return value.is_string() ? value.get<std::string>() : "";
  };
  for (const Json &event : store::readLines(run.directory / "events.jsonl", torn)) {
    const Json &begin = member(event, "begin_ns"), &end = member(event, "end_ns"),
               &thread = member(event, "thread");
    if (member(event, "event") == "launch" && begin.is_number() && end.is_number() &&
        thread.is_number_unsigned() && begin <= end)
      launches.push_back({word(event, "kernel"), word(event, "name"),
                          word(event, "source"), thread.get<uint32_t>(),
                          begin.get<double>() / 1e9, end.get<double>() / 1e9});
  }
  return launches;
}

/// The colours of the timeline: one each for the first, one for all others.
std::string legend(size_t count, const std::function<std::string(size_t)> &name) {
  std::string html;
  for (size_t place = 0; place < std::min<size_t>(count, 8); ++place)
    html += "<span class=\"key\"><svg width=\"10\" height=\"10\" "
            "aria-hidden=\"true\"><rect class=\"k" +
            std::to_string(place) + "\" width=\"10\" height=\"10\"/></svg> " +
            escaped(place == 7 ? "others" : name(place)) + "</span>\n";
  return element("p", html, "class=\"note\"");
}

std::string timeline(const std::vector<Launch> &launches) {
  if (launches.empty())
    return "";
  struct Total {
    double seconds = 0;
    size_t parts = 0;
    const Launch *first = nullptr;
  };
  std::map<std::string, Total> totals;
  double all = 0;
  for (const Launch &launch : launches) {
    Total &total = totals[launch.kernel];
    total.seconds += launch.end - launch.begin;
    all += launch.end - launch.begin;
    if (total.parts++ == 0)
      total.first = &launch;
  }
  std::vector<std::pair<std::string, Total>> order(totals.begin(), totals.end());
  std::ranges::stable_sort(order, std::greater<>(),
                           [](const auto &each) { return each.second.seconds; });
  std::map<std::string, unsigned> colors;
  HtmlTable table("Kernels by their time on all threads", {{"kernel"},
                                                           {"time", true},
                                                           {"share", true},
                                                           {"parts", true},
                                                           {"computes, at first"},
                                                           {"source"}});
  constexpr size_t kMost = 20;
  for (const auto &[kernel, total] : order) {
    const auto place = static_cast<unsigned>(colors.size());
    colors[kernel] = std::min(place, 7U);
    if (place < kMost)
      table.add({kernel, printValue(Unit::Seconds, total.seconds),
                 printNumber(100 * total.seconds / std::max(all, 1e-12), 3) + " %",
                 std::to_string(total.parts), shortened(total.first->name, 60),
                 total.first->source});
  }
  std::vector<TimelineSpan> spans;
  for (const Launch &launch : launches)
    spans.push_back({launch.thread, launch.begin, launch.end,
                     launch.kernel + " for " + launch.name +
                         (launch.source.empty() ? "" : " at " + launch.source),
                     colors[launch.kernel]});
  std::string html =
      timelineChart("Timeline of the profiled run", std::move(spans)) +
      legend(order.size(), [&](size_t place) { return order[place].first; });
  html += table.html();
  if (order.size() > kMost)
    html += element("p", std::to_string(order.size() - kMost) + " more kernels",
                    "class=\"note\"");
  return html;
}

} // namespace

std::string runName(const RunFile &run, size_t index) {
  return std::to_string(index + 1) + ": " + (run.model.empty() ? "run" : run.model) +
         " (" + (run.kind.empty() ? "unknown" : run.kind) + ")";
}

std::string runSection(const RunFile &run, size_t index) {
  const Json &results = member(run.facts, "results");
  std::string html = element("h2", escaped(runName(run, index)));
  html += element("p",
                  escaped(run.id + ", " + run.status + ", began " +
                          printTime(run.startedNs) + " UTC, took " +
                          printSeconds(run.seconds())),
                  "class=\"note\"");
  if (const Json &error = member(results, "error"); error.is_string())
    html += element("p", escaped(error.get<std::string>()), "class=\"bad\"");
  html += titledList("Problems of its files", "What could not be read.", run.problems);
  html += metricCharts(run) + metricsTable(run) + compileCharts(results) +
          timeline(launchesOf(run)) + layoutsAndCopies(results) +
          resultsTable(results) + factsTable(run);
  return element("section", html, "id=\"run-" + std::to_string(index + 1) + "\"");
}

} // namespace rtorch::tools
