// The page around a report.
#pragma once

#include <string>

namespace rtorch::tools {

/// report/page.html, with "{{title}}" and "{{body}}".
extern const char *const kPageTemplate;

/// The whole page; `title` is text, `body` is HTML.
std::string page(const std::string &title, const std::string &body);

} // namespace rtorch::tools
