#include "tools/rtorch-store/report/Page.h"

#include "tools/rtorch-store/report/Html.h"

#include <string_view>

namespace rtorch::tools {

std::string page(const std::string &title, const std::string &body) {
  // Both places are found before anything is put there: what is put may hold the words.
  constexpr std::string_view titleMark = "{{title}}", bodyMark = "{{body}}";
  const std::string_view frame = kPageTemplate;
  const size_t titleAt = frame.find(titleMark), bodyAt = frame.find(bodyMark);
  const size_t titleEnd = titleAt + titleMark.size();
  std::string out(frame.substr(0, titleAt));
  out += escaped(title);
  out += frame.substr(titleEnd, bodyAt - titleEnd);
  out += body;
  out += frame.substr(bodyAt + bodyMark.size());
  return out;
}

} // namespace rtorch::tools
