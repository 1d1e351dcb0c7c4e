#include "tools/rtorch-run/Support.h"

#include "tools/rtorch-run/Command.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace rtorch::run {

int fail(const Error &error) {
  std::fprintf(stderr, "rtorch-run: error: %s: %s\n", error.code.c_str(),
               error.message.c_str());
  return kFailed;
}

Expected<void> writeText(const std::string &path, const std::string &text) {
  const std::string temporary = path + "." + std::to_string(getpid()) + ".tmp";
  std::FILE *file = std::fopen(temporary.c_str(), "w");
  bool good = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  good = file && std::fclose(file) == 0 && good;
  if (good && std::rename(temporary.c_str(), path.c_str()) == 0)
    return {};
  const std::string reason = std::strerror(errno);
  if (file)
    std::remove(temporary.c_str());
  return Error{"RT_ARCHIVE", "cannot write '" + path + "': " + reason, {}, {}};
}

std::string printList(std::span<const int64_t> values) {
  std::string out = "[";
  for (size_t i = 0; i < values.size(); ++i)
    out += (i ? ", " : "") + std::to_string(values[i]);
  return out + "]";
}

std::string printList(std::span<const std::string> values) {
  std::string out = "[";
  for (size_t i = 0; i < values.size(); ++i)
    out += (i ? ", " : "") + values[i];
  return out + "]";
}

std::string printBytes(uint64_t bytes) {
  static constexpr const char *units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = double(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit)
    value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return text;
}

} // namespace rtorch::run
