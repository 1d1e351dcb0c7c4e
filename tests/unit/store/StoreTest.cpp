// The store where there is no compiler, so that the sanitizers see it and the command.
#include "runtime/store/Store.h"

#include "runtime/include/rtorch/record.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;
using namespace rtorch;

namespace {

/// A store with two runs of one model, of which the second has other options and takes
/// twice the time.
struct TwoRuns {
  TwoRuns() {
    std::string name = (fs::temp_directory_path() / "rtorch-store-XXXXXX").string();
    path = mkdtemp(name.data());
    first = add(1, 0.25);
    second = add(2, 0.5);
  }
  ~TwoRuns() { fs::remove_all(path); }

  std::string add(int64_t threads, double seconds) const {
    std::string error;
    auto run = record::Run::begin(
        "run", {{"model", std::string("net <&> \"net\"")}, {"threads", threads}},
        {path}, error);
    REQUIRE(run);
    run->event("load", {{"seconds", 0.125}});
    for (int i = 0; i < 20; ++i)
      run->metric("latency_s", seconds);
    REQUIRE(run->finish(
        "done", {{"peak_bytes", int64_t(4096)}, {"launches", int64_t(12345678)}},
        error));
    return run->id();
  }
  fs::path runOf(const std::string &id) const { return path / "runs" / id; }

  fs::path path;
  std::string first, second;
};

struct Output {
  int status;
  std::string text;
};

Output command(const TwoRuns &store, const std::string &words) {
  std::string line = std::string(RTORCH_STORE_COMMAND) + " --store '" +
                     store.path.string() + "' " + words + " 2>&1";
  FILE *pipe = popen(line.c_str(), "r");
  REQUIRE(pipe);
  Output output;
  std::array<char, 4096> buffer;
  while (size_t count = fread(buffer.data(), 1, buffer.size(), pipe))
    output.text.append(buffer.data(), count);
  int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("runs are listed, found and compared", "[store]") {
  TwoRuns runs;
  store::Store store(runs.path);
  auto rows = store.list({});
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].status == "done");
  store::Filter ofCompilations, newest;
  ofCompilations.kind = "compile";
  newest.limit = 1;
  CHECK(store.list(ofCompilations).empty());
  REQUIRE(store.list(newest).size() == 1);
  CHECK(store.list(newest)[0].id == rows[0].id);
  store::RunFile first = store.find(runs.first), second = store.find(runs.second);
  CHECK(first.metrics.at("latency_s").count == 20);
  CHECK(store::verify(first).empty());
  CHECK_THROWS(store.find("no such run"));

  store::Comparison comparison = store::compare({first, second});
  bool latencyDiffers = false;
  for (const store::MetricDelta &delta : comparison.metrics)
    if (contains(delta.name, "latency_s")) {
      latencyDiffers = true;
      REQUIRE(delta.ratio);
      CHECK(*delta.ratio == Approx(2));
    }
  CHECK(latencyDiffers);
  bool threadsDiffer = false;
  for (const store::Difference &difference : comparison.facts)
    threadsDiffer |= contains(difference.name, "threads");
  CHECK(threadsDiffer);
}

TEST_CASE("an index that is missing or damaged is made again", "[store]") {
  TwoRuns runs;
  REQUIRE(store::Store(runs.path).list({}).size() == 2);
  fs::path index = runs.path / "index.sqlite";
  REQUIRE(fs::exists(index));
  SECTION("missing") { fs::remove(index); }
  SECTION("damaged") { std::ofstream(index) << "this is no database, at all"; }
  SECTION("empty") { fs::resize_file(index, 0); }
  SECTION("torn") { fs::resize_file(index, fs::file_size(index) / 2); }
  store::Store store(runs.path);
  CHECK(store.list({}).size() == 2);
  CHECK(store.rebuild() == 2);
}

TEST_CASE("a torn last line is told, and what is before it is read", "[store]") {
  TwoRuns runs;
  std::ofstream(runs.runOf(runs.first) / "events.jsonl", std::ios::app)
      << R"({"seq": 99, "event": "ha)";
  store::RunFile run = store::readRun(runs.runOf(runs.first));
  std::vector<std::string> problems;
  CHECK_FALSE(
      store::readLines(runs.runOf(runs.first) / "events.jsonl", problems).empty());
  CHECK(problems.size() == 1);
  CHECK(run.metrics.at("latency_s").count == 20);
  CHECK(command(runs, "verify").status == 1);
}

TEST_CASE("each command reads what was recorded", "[store]") {
  TwoRuns runs;
  std::string two = runs.first + " " + runs.second;
  std::string words = GENERATE(
      "list", "list --json", "verify", "rebuild", "trend 'net <&> \"net\"'",
      "trend 'net <&> \"net\"' --metric latency_s --json", "gc --keep 1 --dry-run");
  CAPTURE(words);
  Output output = command(runs, words);
  CAPTURE(output.text);
  CHECK(output.status == 0);
  CHECK_FALSE(output.text.empty());
  for (std::string each :
       {"show " + runs.first, "compare " + two, "compare --json " + two,
        "export --to json " + runs.first, "export --to csv " + runs.first}) {
    Output more = command(runs, each);
    CAPTURE(each, more.text);
    CHECK(more.status == 0);
    CHECK(contains(more.text, "latency_s"));
  }
}

TEST_CASE("counts are shown in full", "[store]") {
  TwoRuns runs;
  CHECK(contains(command(runs, "show " + runs.first).text, "12345678"));
}

TEST_CASE("a report escapes what runs are named, and a run that is no more is an error",
          "[store]") {
  TwoRuns runs;
  Output report = command(runs, "report " + runs.first + " " + runs.second);
  CHECK(report.status == 0);
  CHECK(contains(report.text, "</html>"));
  CHECK(contains(report.text, "net &lt;&amp;&gt;"));
  CHECK_FALSE(contains(report.text, "net <&>"));

  CHECK(command(runs, "gc --keep 1").status == 0);
  CHECK(store::Store(runs.path).list({}).size() == 1);
  Output gone = command(runs, "report " + runs.first);
  CHECK(gone.status == 1);
  CHECK(contains(gone.text, runs.first));
}
