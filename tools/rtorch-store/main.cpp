// The command rtorch-store.
#include "tools/rtorch-store/Commands.h"

#include "runtime/include/rtorch/record.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

namespace {

using rtorch::store::Filter;
using rtorch::store::Store;

struct Arguments {
  std::filesystem::path store = rtorch::record::defaultStore();
  std::filesystem::path cache = rtorch::tools::defaultCache();
  std::vector<std::string> runs;
  std::string run, format = "json", output, metric;
  Filter filter;
  size_t keep = 0;
  double days = 0;
  bool json = false, dry = false;
};

/// Adds all subcommands; gives what the chosen one does.
class CommandLine {
public:
  explicit CommandLine(Arguments &arguments) : a_(arguments) {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "rtorch-store " RTORCH_VERSION);
    app_.add_option("--store", a_.store,
                    "the store's directory; default: RTORCH_STORE, or rtorch in the "
                    "user's data directory")
        ->type_name("DIR");
    app_.footer("Exit status: 0 done, 1 failed or problems found, 2 wrong usage.");
    addFinding();
    addKeeping();
    addCache();
  }

  int run(int argc, char **argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
      return app_.exit(error) == 0 ? 0 : 2;
    }
    try {
      return action_();
    } catch (const std::exception &error) {
      std::cerr << "rtorch-store: error: " << error.what() << "\n";
      return 1;
    }
  }

private:
  CLI::App *add(const char *name, const char *help,
                std::function<int(Store &)> action) {
    CLI::App *command = app_.add_subcommand(name, help);
    command->fallthrough(); // --store may come after the command
    command->callback([this, action = std::move(action)] {
      action_ = [this, action] {
        Store store(a_.store);
        return action(store);
      };
    });
    return command;
  }

  void addFinding() {
    CLI::App *list = add("list", "the runs, the newest first", [this](Store &store) {
      return rtorch::tools::listRuns(store, a_.filter, a_.json);
    });
    list->add_option("--kind", a_.filter.kind, "compile, run, ...");
    list->add_option("--model", a_.filter.model, "a part of the model's name");
    list->add_option("--status", a_.filter.status, "done, failed, running or lost");
    list->add_option("--limit", a_.filter.limit, "at most so many");
    list->add_flag("--json", a_.json);
    CLI::App *show =
        add("show", "one run: what, where, how long", [this](Store &store) {
          return rtorch::tools::showRun(store, a_.run, a_.json);
        });
    show->add_option("run", a_.run, "its id, or how that begins")->required();
    show->add_flag("--json", a_.json);
    CLI::App *compare =
        add("compare", "differences of configuration and numbers, the largest first",
            [this](Store &store) {
              return rtorch::tools::compareRuns(store, a_.runs, a_.json);
            });
    compare->add_option("runs", a_.runs)->required()->expected(2, 100);
    compare->add_flag("--json", a_.json);
    CLI::App *trend =
        add("trend",
            "how a model's or kernel's numbers changed, and what changed with them",
            [this](Store &store) {
              return rtorch::tools::showTrend(store, a_.run, a_.metric, a_.filter.limit,
                                              a_.json);
            });
    trend->add_option("name", a_.run, "of a model, or of a kernel")->required();
    trend->add_option("--metric", a_.metric,
                      "numbers whose names contain this; default: the main ones");
    trend->add_option("--limit", a_.filter.limit, "at most so many runs of each");
    trend->add_flag("--json", a_.json);
    CLI::App *write = add("export", "a run as one file", [this](Store &store) {
      return rtorch::tools::exportRun(store, a_.run, a_.format, a_.output);
    });
    write->add_option("run", a_.run)->required();
    write->add_option("--to", a_.format)->check(CLI::IsMember({"json", "csv"}));
    write->add_option("-o,--output", a_.output, "default: stdout");
    CLI::App *report =
        add("report", "runs and their differences as a page of HTML, for any browser",
            [this](Store &store) {
              return rtorch::tools::reportRuns(store, a_.runs, a_.output);
            });
    report->add_option("runs", a_.runs)->required()->expected(1, 100);
    report->add_option("-o,--output", a_.output, "default: stdout");
  }

  void addKeeping() {
    CLI::App *verify =
        add("verify", "torn lines, gaps and missing files", [this](Store &store) {
          return rtorch::tools::verifyRuns(store, a_.runs, a_.json);
        });
    verify->add_option("runs", a_.runs, "default: all");
    verify->add_flag("--json", a_.json);
    add("rebuild", "make the index again from the runs' files",
        [](Store &store) { return rtorch::tools::rebuildIndex(store); });
    CLI::App *gc = add("gc", "remove old runs", [this](Store &store) {
      if (a_.keep == 0 && a_.days <= 0)
        throw std::runtime_error("gc needs --keep or --older-than");
      return rtorch::tools::collectGarbage(store, a_.keep, a_.days, a_.dry);
    });
    gc->add_option("--keep", a_.keep, "keep so many of the newest")->type_name("N");
    gc->add_option("--older-than", a_.days, "remove what is older")->type_name("DAYS");
    gc->add_flag("--dry-run", a_.dry, "only say how many");
  }

  void addCache() {
    CLI::App *why = app_.add_subcommand(
        "why-miss", "why torch.compile compiled a graph that might have been cached");
    why->add_option("key", a_.run,
                    "how its name in the cache begins; default: the newest");
    why->add_option("--cache", a_.cache,
                    "the cache; default: RTORCH_CACHE, or rtorch in the user's cache "
                    "directory")
        ->type_name("DIR");
    why->add_flag("--json", a_.json);
    why->callback([this] {
      action_ = [this] {
        return rtorch::tools::explainMiss(a_.cache, a_.run, a_.json);
      };
    });
  }

  Arguments &a_;
  CLI::App app_{"Finds and compares what was compiled and what ran.", "rtorch-store"};
  std::function<int()> action_;
};

} // namespace

int main(int argc, char **argv) {
  Arguments arguments;
  return CommandLine(arguments).run(argc, argv);
}
