#include "runtime/include/rtorch/record.hpp"

#include "runtime/record/Files.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;
using namespace rtorch::record;

namespace {

/// A directory that is removed at the end.
struct Scratch {
  Scratch() {
    std::string name = (fs::temp_directory_path() / "rtorch-record-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(path); }
  fs::path path;
};

std::string contentOf(const fs::path &path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

size_t linesOf(const fs::path &path) {
  std::string text = contentOf(path);
  return static_cast<size_t>(std::ranges::count(text, '\n'));
}

} // namespace

TEST_CASE("a run is a directory of plain files", "[record]") {
  Scratch scratch;
  std::string error;
  auto run =
      Run::begin("train", {{"model", std::string("net")}}, {scratch.path}, error);
  REQUIRE(run);
  fs::path directory = scratch.path / "runs" / run->id();
  CHECK(run->directory() == directory);
  CHECK(contentOf(directory / "run.json").find(R"("status": "running")") !=
        std::string::npos);
  CHECK(WriterLock::isHeld(directory / "writer.lock"));
  run->event("begin", {{"epoch", int64_t(1)}});
  for (int i = 0; i < 10; ++i)
    run->metric("loss", 1.0 / (1 + i));
  REQUIRE(run->finish("done", {{"accuracy", 0.5}}, error));
  run.reset();
  CHECK_FALSE(WriterLock::isHeld(directory / "writer.lock"));
  std::string facts = contentOf(directory / "run.json");
  for (const char *part : {R"("schema": 1)", R"("kind": "train")", R"("model": "net")",
                           R"("status": "done")", R"("records": 10)", R"("events": 1)",
                           R"("accuracy": 0.5)", R"("cpus": )"})
    CHECK(facts.find(part) != std::string::npos);
  CHECK(linesOf(directory / "events.jsonl") == 1);
  CHECK(linesOf(directory / "metrics.jsonl") == 10);
  CHECK(contentOf(directory / "summary.json").find(R"("loss": {"count": 10)") !=
        std::string::npos);
}

TEST_CASE("a killed process loses nothing that it recorded", "[record]") {
  Scratch scratch;
  pid_t child = fork();
  if (child == 0) {
    std::string error;
    auto run = Run::begin("run", {}, {scratch.path}, error);
    for (int i = 0; i < 1000; ++i)
      run->metric("x", i);
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  fs::path directory = *fs::directory_iterator(scratch.path / "runs");
  CHECK(linesOf(directory / "metrics.jsonl") == 1000);
  CHECK_FALSE(WriterLock::isHeld(directory / "writer.lock"));
}

TEST_CASE("a store that cannot be made is an error, and leaves nothing", "[record]") {
  Scratch scratch;
  std::ofstream(scratch.path / "file") << "x";
  std::string error;
  CHECK_FALSE(Run::begin("run", {}, {scratch.path / "file"}, error));
  CHECK(error.find("cannot create") != std::string::npos);
  CHECK_FALSE(Run::begin("run", {}, {fs::path()}, error));
  CHECK(error == "no store is named, and there is no home directory");
}

TEST_CASE("files are replaced whole", "[record]") {
  Scratch scratch;
  fs::path path = scratch.path / "a.json";
  CHECK(replaceFile(path, "one").empty());
  CHECK(replaceFile(path, "two").empty());
  CHECK(contentOf(path) == "two");
  CHECK(std::distance(fs::directory_iterator(scratch.path), {}) == 1);
  CHECK(replaceFile(scratch.path / "none" / "a.json", "x").find("cannot create") == 0);
}

TEST_CASE("the default store follows the environment", "[record]") {
  setenv("RTORCH_STORE", "/some/store", 1);
  CHECK(defaultStore() == "/some/store");
  setenv("RTORCH_STORE", "", 1);
  CHECK(defaultStore().empty());
  unsetenv("RTORCH_STORE");
  setenv("XDG_DATA_HOME", "/data", 1);
  CHECK(defaultStore() == "/data/rtorch");
  unsetenv("XDG_DATA_HOME");
  setenv("HOME", "/home/me", 1);
  CHECK(defaultStore() == "/home/me/.local/share/rtorch");
}
