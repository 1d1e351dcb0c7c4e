// The subcommands of rtorch-store. Each prints to stdout and gives an exit status; what
// fails is thrown as std::runtime_error.
#pragma once

#include "runtime/store/Store.h"

namespace rtorch::tools {

int listRuns(store::Store &store, const store::Filter &filter, bool json);
int showRun(store::Store &store, const std::string &id, bool json);
int compareRuns(store::Store &store, const std::vector<std::string> &ids, bool json);
/// The history of a model's or kernel's numbers; see store::trend.
int showTrend(store::Store &store, const std::string &name, const std::string &metric,
              size_t limit, bool json);
/// All runs without ids. Status 1 if any has a problem.
int verifyRuns(store::Store &store, const std::vector<std::string> &ids, bool json);
int rebuildIndex(store::Store &store);
/// Removes all but the newest `keep` runs, or those older than `days`; never one that
/// is running.
int collectGarbage(store::Store &store, size_t keep, double days, bool dry);
/// Writes a file that is whole or absent. Its trailer ("rows", "complete") tells a copy
/// that was cut.
int exportRun(store::Store &store, const std::string &id, const std::string &format,
              const std::string &output);
/// Writes a page about the runs and their differences that is whole or absent, and
/// needs no other file.
int reportRuns(store::Store &store, const std::vector<std::string> &ids,
               const std::string &output);

/// To stdout without a path; a file is replaced at once, or left as it was.
void writeOutput(const std::string &path, const std::string &text);

/// Where torch.compile's backend keeps modules: RTORCH_CACHE, or in the user's cache.
std::filesystem::path defaultCache();
/// Tells what the key of an entry (the newest, or that whose key begins so) has that no
/// older entry had.
int explainMiss(const std::filesystem::path &cache, const std::string &key, bool json);

} // namespace rtorch::tools
