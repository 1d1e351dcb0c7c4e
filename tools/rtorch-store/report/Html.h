// Pieces of HTML. Arguments are text unless they are called html.
#pragma once

#include <string>
#include <vector>

namespace rtorch::tools {

/// Text that means itself in content and in quoted attributes.
std::string escaped(const std::string &text);
/// Cut to so many characters, the last then being an ellipsis.
std::string shortened(const std::string &text, size_t characters);
std::string element(const std::string &tag, const std::string &html,
                    const std::string &attributesHtml = "");
/// A place in the text, without a break behind it.
std::string link(const std::string &target, const std::string &text);
std::string list(const std::vector<std::string> &items);
/// What is closed until a reader opens it.
std::string folded(const std::string &summary, const std::string &html);

/// A table in a box that scrolls sideways. The first cell of a row is its heading.
class HtmlTable {
public:
  struct Column {
    std::string name;
    bool isNumber = false;
  };
  HtmlTable(std::string caption, std::vector<Column> columns)
      : caption_(std::move(caption)), columns_(std::move(columns)) {}
  void add(const std::vector<std::string> &cells);
  bool isEmpty() const { return rows_.empty(); }
  std::string html() const;

private:
  std::string caption_;
  std::vector<Column> columns_;
  std::string rows_;
};

} // namespace rtorch::tools
