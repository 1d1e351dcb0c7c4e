// What a long command is doing, for people who wait for it.
#pragma once

#include <chrono>
#include <string>
#include <type_traits>

namespace rtorch::tools {

/// One line on stderr that is rewritten in place and gone at the end. Nothing is
/// written where stderr is no terminal.
class Progress {
public:
  explicit Progress(bool isWanted = true);
  ~Progress() { clear(); }
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  /// Shows the text at once, cut to the terminal's width.
  void show(const std::string &text);
  /// The same for what changes often: `text` is called ten times a second at most.
  template <typename Text>
    requires std::is_invocable_r_v<std::string, Text>
  void show(const Text &text) {
    if (isDue())
      show(std::string(text()));
  }
  /// Removes the line, before something else is printed.
  void clear();

private:
  bool isDue() const;

  bool isOn_, isShown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

} // namespace rtorch::tools
