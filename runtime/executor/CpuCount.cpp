#include "runtime/executor/CpuCount.h"

#include <algorithm>
#include <fstream>
#include <sched.h>
#include <sstream>

namespace rtorch::executor {
namespace {

using std::filesystem::path;

/// Reads up to two words of a small file.
bool readWords(const path &file, std::string &first, std::string &second) {
  std::ifstream in(file);
  first.clear();
  second.clear();
  return bool(in >> first) && (in >> second, true);
}

/// ceil(quota / period); 0 where either is no positive number ("max", "-1").
unsigned cpusOf(const std::string &quota, const std::string &period) {
  char *end = nullptr;
  const long long q = std::strtoll(quota.c_str(), &end, 10);
  if (end == quota.c_str())
    return 0;
  const long long p = std::strtoll(period.c_str(), nullptr, 10);
  if (q <= 0 || p <= 0)
    return 0;
  return unsigned(std::clamp<long long>((q + p - 1) / p, 1, 1 << 16));
}

unsigned quotaV2(const path &group) {
  std::string quota, period;
  return readWords(group / "cpu.max", quota, period) ? cpusOf(quota, period) : 0;
}

unsigned quotaV1(const path &group) {
  std::string quota, period, none;
  if (!readWords(group / "cpu.cfs_quota_us", quota, none) ||
      !readWords(group / "cpu.cfs_period_us", period, none))
    return 0;
  return cpusOf(quota, period);
}

/// The smallest quota of `group` (an absolute path within the hierarchy) and of all
/// groups above it. In a container the hierarchy is often mounted at the group itself:
/// the root is looked at in any case.
unsigned smallestQuota(const path &root, const std::string &group,
                       unsigned (*read)(const path &)) {
  unsigned limit = 0;
  auto take = [&](unsigned quota) {
    if (quota != 0 && (limit == 0 || quota < limit))
      limit = quota;
  };
  for (path at = path(group).relative_path(); !at.empty(); at = at.parent_path())
    take(read(root / at));
  take(read(root));
  return limit;
}

/// Whether the comma-separated list has the controller "cpu".
bool hasCpuController(const std::string &controllers) {
  std::istringstream in(controllers);
  for (std::string name; std::getline(in, name, ',');)
    if (name == "cpu")
      return true;
  return false;
}

unsigned affinityCpus() {
  // Masks of machines with more CPUs than cpu_set_t has bits are refused: try larger.
  for (int bits = 1024; bits <= 1 << 16; bits *= 2) {
    cpu_set_t *set = CPU_ALLOC(bits);
    if (!set)
      return 1;
    const size_t size = CPU_ALLOC_SIZE(bits);
    const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0)
      return unsigned(count);
  }
  return 1;
}

} // namespace

unsigned cgroupCpuLimit(const std::string &membership, const path &root) {
  // Lines are "id:controllers:group"; v2 is "0::group".
  std::istringstream lines(membership);
  unsigned limit = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    unsigned quota = 0;
    if (controllers.empty())
      quota = smallestQuota(root, group, quotaV2);
    else if (hasCpuController(controllers)) {
      std::error_code ignored;
      const bool joint = std::filesystem::exists(root / controllers, ignored);
      quota = smallestQuota(root / (joint ? controllers : "cpu"), group, quotaV1);
    }
    if (quota != 0 && (limit == 0 || quota < limit))
      limit = quota;
  }
  return limit;
}

unsigned availableCpus() {
  unsigned cpus = affinityCpus();
  std::ifstream in("/proc/self/cgroup");
  std::ostringstream membership;
  membership << in.rdbuf();
  const unsigned limit = cgroupCpuLimit(membership.str(), "/sys/fs/cgroup");
  return limit == 0 ? cpus : std::min(cpus, limit);
}

} // namespace rtorch::executor
