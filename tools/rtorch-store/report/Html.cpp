#include "tools/rtorch-store/report/Html.h"

namespace rtorch::tools {

std::string escaped(const std::string &text) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if (byte < 0x20 && c != '\n' && c != '\t')
      out += "\xef\xbf\xbd"; // HTML has no control characters
    else
      out += c;
  }
  return out;
}

std::string shortened(const std::string &text, size_t characters) {
  size_t count = 0, end = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80)
      continue;
    if (++count == characters)
      end = i;
  }
  return count <= characters ? text : text.substr(0, end) + "…";
}

std::string element(const std::string &tag, const std::string &html,
                    const std::string &attributesHtml) {
  return "<" + tag + (attributesHtml.empty() ? "" : " ") + attributesHtml + ">" + html +
         "</" + tag + ">\n";
}

std::string link(const std::string &target, const std::string &text) {
  return "<a href=\"" + escaped(target) + "\">" + escaped(text) + "</a>";
}

std::string list(const std::vector<std::string> &items) {
  std::string html;
  for (const std::string &item : items)
    html += element("li", escaped(item));
  return element("ul", html);
}

std::string folded(const std::string &summary, const std::string &html) {
  return element("details", element("summary", escaped(summary)) + html);
}

void HtmlTable::add(const std::vector<std::string> &cells) {
  std::string row;
  for (size_t i = 0; i < cells.size(); ++i)
    row += element(i ? "td" : "th", escaped(cells[i]),
                   i == 0                 ? "scope=\"row\""
                   : columns_[i].isNumber ? "class=\"number\""
                                          : "");
  rows_ += element("tr", row);
}

std::string HtmlTable::html() const {
  std::string head;
  for (const Column &column : columns_)
    head +=
        element("th", escaped(column.name),
                column.isNumber ? "scope=\"col\" class=\"number\"" : "scope=\"col\"");
  const std::string table = element("table", element("caption", escaped(caption_)) +
                                                 element("thead", element("tr", head)) +
                                                 element("tbody", rows_));
  return element("div", table,
                 "class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" +
                     escaped(caption_) + "\"");
}

} // namespace rtorch::tools
