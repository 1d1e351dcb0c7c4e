#include "runtime/record/Host.h"

#include "runtime/record/JsonText.h"

#include <cstdlib>
#include <fstream>
#include <sched.h>
#include <sstream>
#include <sys/utsname.h>
#include <unistd.h>

namespace rtorch::record {
namespace {

std::string firstLine(const char *path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "";
}

int64_t usableCpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                     : sysconf(_SC_NPROCESSORS_ONLN);
}

std::string arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string list = "[";
  for (std::string word; std::getline(file, word, '\0');)
    list += (list.size() > 1 ? ", " : "") + quote(word);
  return list + "]";
}

} // namespace

uint64_t peakMemoryBytes() {
  // Not from getrusage, which counts what the process was forked from.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:"))
      return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  return 0;
}

Fields hostFacts() {
  utsname names{};
  uname(&names);
  auto memory = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return {{"name", std::string(names.nodename)},
          {"system", std::string(names.sysname) + " " + names.release},
          {"machine", std::string(names.machine)},
          {"cpu", cpuModel()},
          {"cpus", usableCpus()},
          {"memory_bytes", memory},
          {"boot_id", firstLine("/proc/sys/kernel/random/boot_id")}};
}

Fields processFacts() {
  std::error_code ignored;
  return {{"pid", static_cast<int64_t>(getpid())},
          {"arguments", Json{arguments()}},
          {"directory", std::filesystem::current_path(ignored).string()}};
}

} // namespace rtorch::record
