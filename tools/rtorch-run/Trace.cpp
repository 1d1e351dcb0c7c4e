#include "tools/rtorch-run/Trace.h"

#include "tools/rtorch-run/Support.h"

#include <algorithm>
#include <set>

namespace rtorch::run {

std::string Trace::json(const std::string &module) const {
  Json events = Json::array();
  events.push_back({{"name", "process_name"},
                    {"ph", "M"},
                    {"pid", 1},
                    {"args", {{"name", module}}}});
  std::set<uint32_t> threads;
  int64_t origin = INT64_MAX;
  for (const rtorch_span &span : spans_) {
    threads.insert(span.thread);
    origin = std::min(origin, span.begin_ns);
  }
  for (uint32_t thread : threads)
    events.push_back(
        {{"name", "thread_name"},
         {"ph", "M"},
         {"pid", 1},
         {"tid", thread},
         {"args", {{"name", thread ? "worker " + std::to_string(thread) : "caller"}}}});
  for (const rtorch_span &span : spans_) {
    Json arguments = {{"kernel", span.kernel}, {"launch", span.launch}};
    if (*span.source)
      arguments["source"] = span.source;
    events.push_back({{"name", span.name},
                      {"cat", "launch"},
                      {"ph", "X"},
                      {"pid", 1},
                      {"tid", span.thread},
                      {"ts", double(span.begin_ns - origin) / 1000},
                      {"dur", double(span.end_ns - span.begin_ns) / 1000},
                      {"args", std::move(arguments)}});
  }
  return Json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ns"}}.dump() +
         "\n";
}

} // namespace rtorch::run
