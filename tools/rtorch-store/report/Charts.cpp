#include "tools/rtorch-store/report/Charts.h"

#include "tools/rtorch-store/Table.h"
#include "tools/rtorch-store/report/Html.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

namespace rtorch::tools {
namespace {

/// Up to two decimals, for coordinates.
std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  std::string out = text;
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.'))
    out.pop_back();
  return out == "-0" ? "0" : out;
}

std::string percent(double fraction) { return number(100 * fraction) + "%"; }

std::string text(const std::string &x, const std::string &y, const std::string &content,
                 const std::string &anchor = "start", const std::string &kind = "") {
  return "<text x=\"" + x + "\" y=\"" + y + "\"" +
         (anchor == "start" ? "" : " text-anchor=\"" + anchor + "\"") +
         (kind.empty() ? "" : " class=\"" + kind + "\"") + ">" + escaped(content) +
         "</text>\n";
}

std::string line(const std::string &x1, const std::string &y1, const std::string &x2,
                 const std::string &y2, const std::string &kind) {
  return "<line x1=\"" + x1 + "\" y1=\"" + y1 + "\" x2=\"" + x2 + "\" y2=\"" + y2 +
         "\" class=\"" + kind + "\"/>\n";
}

std::string figure(const std::string &title, const std::string &note,
                   const std::string &alternative, int height, const std::string &svg,
                   const std::string &kind = "chart") {
  std::string caption = "<b>" + escaped(title) + "</b>";
  if (!note.empty())
    caption += " " + escaped(note);
  return element("figure", element("figcaption", caption) +
                               element("svg", svg,
                                       "class=\"" + kind + "\" height=\"" +
                                           std::to_string(height) +
                                           "\" role=\"img\" aria-label=\"" +
                                           escaped(title + ": " + alternative) + "\""));
}

/// An axis from `low` to `high`, both multiples of `step`, a round number.
struct Axis {
  double low, high, step;

  Axis(double least, double greatest, double leastStep = 0) {
    if (!(greatest > least))
      greatest = least + (least == 0 ? 1 : std::abs(least));
    const double rough = (greatest - least) / 4;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double digit = rough / power;
    step = std::max(power * (digit <= 1   ? 1
                             : digit <= 2 ? 2
                             : digit <= 5 ? 5
                                          : 10),
                    leastStep);
    low = std::floor(least / step) * step;
    high = std::ceil(greatest / step - 1e-9) * step;
  }
  double place(double value) const {
    const double at = (value - low) / (high - low);
    return std::isfinite(at) ? at : 0;
  }
  std::vector<double> ticks() const {
    const double steps = std::round((high - low) / step);
    if (!(steps >= 1 && steps <= 20)) // numbers too large or too close for steps
      return {};
    std::vector<double> out;
    const auto count = static_cast<int>(steps);
    for (int i = 0; i <= count; ++i) {
      const double tick = low + i * step;
      out.push_back(std::abs(tick) < step * 1e-9 ? 0 : tick);
    }
    return out;
  }
};

/// Ticks under a chart of height `bottom`, and below them what the axis is.
std::string horizontalAxis(const Axis &axis, const Scale &scale, int bottom,
                           const std::string &name) {
  std::string svg;
  for (double tick : axis.ticks()) {
    const double at = axis.place(tick);
    svg += line(percent(at), "0", percent(at), std::to_string(bottom + 4), "grid");
    svg += text(percent(at), std::to_string(bottom + 18), printNumber(tick),
                at < 0.02   ? "start"
                : at > 0.98 ? "end"
                            : "middle",
                "tick");
  }
  const std::string unit = scale.name.empty() ? "" : " (" + scale.name + ")";
  return svg + text("50%", std::to_string(bottom + 36), name + unit, "middle", "axis");
}

/// Broken where a value is not finite; many values as the least and greatest of each
/// stretch.
std::string curve(const std::vector<double> &values, const Axis &axis) {
  constexpr size_t kStretches = 400;
  const size_t stretch = std::max<size_t>(1, values.size() / kStretches);
  const double last = std::max<double>(1, static_cast<double>(values.size() - 1));
  std::string svg, points;
  auto flush = [&] {
    if (!points.empty())
      svg += "<polyline class=\"curve\" points=\"" + points + "\"/>\n";
    points.clear();
  };
  auto put = [&](size_t i, double value) {
    const double y = 1000 * (1 - std::clamp(axis.place(value), 0.0, 1.0));
    points += number(1000 * static_cast<double>(i) / last) + "," + number(y) + " ";
  };
  for (size_t i = 0; i < values.size(); i += stretch) {
    const auto begin = values.begin() + static_cast<ptrdiff_t>(i);
    const auto end =
        values.begin() + static_cast<ptrdiff_t>(std::min(i + stretch, values.size()));
    if (!std::all_of(begin, end, [](double v) { return std::isfinite(v); })) {
      flush();
      continue;
    }
    const auto [least, greatest] = std::minmax_element(begin, end);
    put(i, *least);
    if (stretch > 1)
      put(i, *greatest);
  }
  flush();
  return "<svg width=\"100%\" height=\"100%\" viewBox=\"0 0 1000 1000\" "
         "preserveAspectRatio=\"none\">\n" +
         svg + "</svg>\n";
}

/// Lines at the quantiles, each named unless another one's name is there.
std::string quantileLines(const std::vector<std::pair<std::string, double>> &quantiles,
                          const Axis &axis, double factor) {
  std::string svg;
  double before = 2;
  for (const auto &[name, value] : quantiles) {
    const double at = 1 - axis.place(value * factor);
    if (!(at >= 0 && at <= 1))
      continue;
    svg += line("0", percent(at), "100%", percent(at), "quantile");
    if (before - at > 0.09)
      svg += "<text x=\"100%\" y=\"" + percent(at) +
             "\" dy=\"-3\" text-anchor=\"end\">" + escaped(name) + "</text>\n";
    before = std::min(before, at);
  }
  return svg;
}

/// Neighbours too narrow to be seen apart, as one.
std::vector<TimelineSpan> merged(const std::vector<TimelineSpan> &spans, double width) {
  std::vector<TimelineSpan> out;
  std::map<uint32_t, std::pair<size_t, size_t>> last; // of a thread: place and count
  for (const TimelineSpan &span : spans) {
    auto [found, isNew] = last.try_emplace(span.thread, out.size(), 1);
    if (!isNew) {
      auto &[place, count] = found->second;
      TimelineSpan &before = out[place];
      if (span.end - before.begin < width) {
        before.end = std::max(before.end, span.end);
        before.text = std::to_string(++count) + " launches";
        before.color = 7;
        continue;
      }
      found->second = {out.size(), 1};
    }
    out.push_back(span);
  }
  return out;
}

} // namespace

std::string barChart(const std::string &title, const std::string &axisName, Unit unit,
                     const std::vector<Bar> &bars) {
  double largest = 0;
  for (const Bar &bar : bars)
    largest = std::max({largest, bar.value, bar.range ? bar.range->second : 0});
  const Scale scale = scaleFor(unit, largest);
  const bool isCount =
      unit == Unit::Plain && std::ranges::all_of(bars, [](const Bar &bar) {
        return bar.value == std::floor(bar.value);
      });
  const Axis axis(0, largest * scale.factor, isCount ? 1 : 0);
  constexpr int kRow = 32;
  const int bottom = kRow * static_cast<int>(bars.size());
  std::string svg = horizontalAxis(axis, scale, bottom, axisName), alternative;
  auto at = [&](double value) { return percent(axis.place(value * scale.factor)); };
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar &bar = bars[i];
    const int top = kRow * static_cast<int>(i);
    const std::string value = printValue(unit, bar.value);
    svg += "<g><title>" + escaped(bar.label + ": " + value) + "</title>\n" +
           text("0", std::to_string(top + 14), shortened(bar.label, 36)) +
           text("100%", std::to_string(top + 14), value, "end") +
           "<rect class=\"bar\" x=\"0\" y=\"" + std::to_string(top + 19) +
           "\" height=\"9\" width=\"" + at(std::max(bar.value, 0.0)) + "\"/>\n";
    if (bar.range) {
      const std::string middle = std::to_string(top + 23) + ".5";
      svg +=
          line(at(bar.range->first), middle, at(bar.range->second), middle, "whisker");
    }
    svg += "</g>\n";
    alternative += (i ? ", " : "") + bar.label + " " + value;
  }
  return figure(title, "", alternative, bottom + 42, svg);
}

std::string seriesChart(const std::string &title, const std::string &axisName,
                        Unit unit, const std::vector<double> &values,
                        const std::vector<std::pair<std::string, double>> &quantiles) {
  std::vector<double> finite;
  std::ranges::copy_if(values, std::back_inserter(finite),
                       [](double v) { return std::isfinite(v); });
  if (finite.empty())
    return "";
  const auto [least, greatest] = std::ranges::minmax(finite);
  double top = greatest;
  if (!quantiles.empty() && quantiles.back().second > 0)
    top = std::min(top, std::max(least, 2 * quantiles.back().second));
  const auto above = std::ranges::count_if(finite, [&](double v) { return v > top; });
  const Scale scale = scaleFor(unit, std::max(std::abs(least), std::abs(top)));
  const Axis axis(least * scale.factor, top * scale.factor);
  std::vector<double> scaled;
  for (double value : values)
    scaled.push_back(value * scale.factor);

  constexpr int kTop = 20, kHeight = 170;
  std::string plot;
  for (double tick : axis.ticks()) {
    const std::string y = percent(1 - axis.place(tick));
    plot += line("0", y, "100%", y, "grid");
    plot += "<text x=\"-8\" y=\"" + y +
            "\" dy=\"4\" text-anchor=\"end\" class=\"tick\">" + printNumber(tick) +
            "</text>\n";
  }
  plot += curve(scaled, axis) + quantileLines(quantiles, axis, scale.factor);
  const std::string below = std::to_string(kHeight + 18);
  plot += text("0", below, "1", "start", "tick") +
          text("100%", below, std::to_string(values.size()), "end", "tick") +
          text("50%", below, axisName, "middle", "axis");
  // The ticks' numbers are in the chart's left margin.
  const std::string svg =
      text("-56", "10", scale.name.empty() ? "value" : scale.name, "start", "axis") +
      "<svg y=\"" + std::to_string(kTop) + "\" width=\"100%\" height=\"" +
      std::to_string(kHeight) + "\">\n" + plot + "</svg>\n";
  std::string alternative = std::to_string(values.size()) + " values from " +
                            printValue(unit, least) + " to " +
                            printValue(unit, greatest);
  for (const auto &[name, value] : quantiles)
    alternative += ", " + name + " " + printValue(unit, value);
  const std::string note =
      above
          ? std::to_string(above) + " of " + std::to_string(values.size()) +
                " values are above the chart, the largest " + printValue(unit, greatest)
          : "";
  return figure(title, note, alternative, kTop + kHeight + 24, svg, "series");
}

std::string timelineChart(const std::string &title, std::vector<TimelineSpan> spans) {
  std::ranges::stable_sort(spans, {}, &TimelineSpan::begin);
  double total = 0;
  std::map<uint32_t, double> busy;
  for (const TimelineSpan &span : spans) {
    total = std::max(total, span.end);
    busy[span.thread] += span.end - span.begin;
  }
  const size_t launches = spans.size();
  if (launches > 2000)
    spans = merged(spans, total / 1000);
  const Scale scale = scaleFor(Unit::Seconds, total);
  const Axis axis(0, total * scale.factor);
  constexpr int kRow = 44;
  std::map<uint32_t, int> rows;
  std::string names, alternative = std::to_string(launches) + " parts of launches";
  for (const auto &[thread, seconds] : busy) {
    const int top = kRow * static_cast<int>(rows.size());
    rows[thread] = top;
    const std::string name = thread ? "worker " + std::to_string(thread) : "caller";
    names += text("0", std::to_string(top + 14), name) +
             text("100%", std::to_string(top + 14),
                  "busy " + printValue(Unit::Seconds, seconds), "end");
    alternative += ", " + name + " busy " + printValue(Unit::Seconds, seconds);
  }
  const int bottom = kRow * static_cast<int>(rows.size());
  std::string svg = horizontalAxis(axis, scale, bottom, "since the first launch");
  svg += names;
  for (const TimelineSpan &span : spans)
    svg +=
        "<rect class=\"k" + std::to_string(span.color) + "\" x=\"" +
        percent(axis.place(span.begin * scale.factor)) + "\" y=\"" +
        std::to_string(rows[span.thread] + 19) + "\" height=\"20\" width=\"" +
        percent(axis.place((span.end - span.begin) * scale.factor)) + "\"><title>" +
        escaped(span.text + ": " + printValue(Unit::Seconds, span.end - span.begin)) +
        "</title></rect>\n";
  return figure(title, "", alternative, bottom + 42, svg);
}

} // namespace rtorch::tools
