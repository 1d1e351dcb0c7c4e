// How many CPUs this process may use.
#pragma once

#include <filesystem>
#include <string>

namespace rtorch::executor {

/// CPUs that the process may run on: its affinity mask, limited by the quotas of its
/// control groups (v1 and v2, rounded up). At least 1. Read anew at each call.
unsigned availableCpus();

/// The CPU quota of the control groups that `membership` (the text of
/// /proc/self/cgroup) names, below the mount point `root` (/sys/fs/cgroup), in CPUs
/// rounded up; 0 without a quota. A group is limited by those above it, too.
unsigned cgroupCpuLimit(const std::string &membership,
                        const std::filesystem::path &root);

} // namespace rtorch::executor
