#include "tools/progress/Progress.h"

#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

namespace rtorch::tools {
namespace {

/// Columns of the terminal; one that does not tell has 80.
size_t width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                         : 80;
}

/// A line that wraps could not be rewritten; bytes that move the cursor neither.
std::string line(const std::string &text) {
  const size_t most = width() - 1;
  std::string out;
  size_t columns = 0;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    columns += (byte & 0xC0) != 0x80 ? 1 : 0;
    if (columns > most)
      break;
    out += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  return out;
}

} // namespace

Progress::Progress(bool isWanted) : isOn_(isWanted && isatty(STDERR_FILENO)) {}

bool Progress::isDue() const {
  return isOn_ &&
         std::chrono::steady_clock::now() - last_ > std::chrono::milliseconds(100);
}

void Progress::show(const std::string &text) {
  if (!isOn_)
    return;
  std::fprintf(stderr, "\r\033[K%s", line(text).c_str());
  std::fflush(stderr);
  isShown_ = true;
  last_ = std::chrono::steady_clock::now();
}

void Progress::clear() {
  if (isShown_)
    std::fputs("\r\033[K", stderr);
  isShown_ = false;
}

} // namespace rtorch::tools
