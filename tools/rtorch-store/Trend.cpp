// How the numbers of a model or kernel changed from run to run, and what changed with
// them.
#include "tools/rtorch-store/Commands.h"
#include "tools/rtorch-store/Table.h"
#include "tools/rtorch-store/Units.h"

#include <cmath>
#include <iostream>
#include <stdexcept>

namespace rtorch::tools {

using store::Json;

namespace {

Json asJson(const std::vector<store::Trend> &trends, const std::string &name) {
  Json series = Json::array();
  for (const store::Trend &trend : trends) {
    Json points = Json::array();
    for (const store::TrendPoint &point : trend.points) {
      Json changed = Json::object();
      for (const store::Difference &fact : point.changed)
        changed[fact.name] = fact.values;
      points.push_back(
          {{"run", point.run},
           {"started_ns", point.startedNs},
           {"value", std::isfinite(point.value) ? Json(point.value) : Json()},
           {"ratio", point.ratio ? Json(*point.ratio) : Json()},
           {"changed", std::move(changed)}});
    }
    series.push_back({{"kind", trend.kind},
                      {"metric", trend.metric},
                      {"points", std::move(points)}});
  }
  return {{"schema", 1}, {"name", name}, {"series", std::move(series)}};
}

/// "options.threads 1 -> 2, versions.rtorch ..."
std::string changesText(const std::vector<store::Difference> &changed) {
  std::string out;
  for (const store::Difference &fact : changed)
    out += (out.empty() ? "" : ", ") + fact.name + " " + fact.values.front() + " -> " +
           fact.values.back();
  return out;
}

} // namespace

int showTrend(store::Store &store, const std::string &name, const std::string &metric,
              size_t limit, bool json) {
  const std::vector<store::Trend> trends = store::trend(store, name, metric, limit);
  if (trends.empty())
    throw std::runtime_error("no run that is done has a model or kernel '" + name +
                             "'" + (metric.empty() ? "" : " with '" + metric + "'"));
  if (json) {
    std::cout << asJson(trends, name).dump(2) << "\n";
    return 0;
  }
  for (const store::Trend &trend : trends) {
    std::cout << trend.metric << " (" << trend.kind << ")\n";
    Table table({"  run", "started (UTC)", "value", "change", "what changed"}, 100);
    for (const store::TrendPoint &point : trend.points)
      table.add({"  " + point.run, printTime(point.startedNs),
                 printValue(unitOf(trend.metric), point.value),
                 printChange(point.ratio), changesText(point.changed)});
    std::cout << table.text() << "\n";
  }
  return 0;
}

} // namespace rtorch::tools
