// A process that is killed, or a disk that fails, at each call that a save makes: the
// old checkpoint or the new one is there, whole. The calls are this program's own,
// which the linker takes before the C library's.
#include "tests/unit/checkpoint/CheckpointFiles.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>

using namespace rtorch;
using namespace rtorch::checkpoint;
using namespace rtorch::test;

namespace {

enum class Fault : uint8_t { None, KillBefore, KillAfter, Error };
Fault fault = Fault::None;
int fault_errno = EIO;
int calls_left = -1; // the call at which it happens counts down to 0

/// Whether this call fails. Kills before it.
bool failsNow() {
  if (fault == Fault::None || calls_left-- != 0)
    return false;
  if (fault == Fault::KillBefore)
    _exit(9);
  errno = fault_errno;
  return fault == Fault::Error;
}

/// Kills behind the call that failsNow() counted to its end.
void killAfter() {
  if (fault == Fault::KillAfter && calls_left == -1)
    _exit(9);
}

template <typename Function> Function *real(Function *, const char *name) {
  return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

} // namespace

extern "C" ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  if (failsNow())
    return -1;
  const ssize_t done = real(&pwrite, "pwrite")(fd, data, size, offset);
  killAfter();
  return done;
}

extern "C" int posix_fallocate(int fd, off_t offset, off_t size) {
  if (failsNow())
    return fault_errno;
  const int error = real(&posix_fallocate, "posix_fallocate")(fd, offset, size);
  killAfter();
  return error;
}

extern "C" int fsync(int fd) {
  if (failsNow())
    return -1;
  const int status = real(&fsync, "fsync")(fd);
  killAfter();
  return status;
}

extern "C" int rename(const char *from, const char *to) noexcept {
  if (failsNow())
    return -1;
  const int status = real(&rename, "rename")(from, to);
  killAfter();
  return status;
}

namespace {

/// Two tensors, all of whose numbers are `value`.
core::Status saveNumbers(const std::filesystem::path &path, float value) {
  const std::vector<float> numbers(64, value);
  const std::vector<int64_t> sizes = {8, 8}, strides = {8, 1}, columns = {1, 8};
  auto *data = const_cast<float *>(numbers.data());
  const std::vector<SavedTensor> tensors = {
      {"a", {core::DType::F32, sizes, strides, data}},
      {"b", {core::DType::F32, sizes, columns, data}},
  };
  return save(path, tensors, {{}, "test"});
}

/// The number that a whole checkpoint of saveNumbers() holds; -1 for none.
float numberIn(const std::filesystem::path &path) {
  auto file = Checkpoint::open(path, Verify::Full);
  if (!file.ok() || (*file)->names().size() != 2)
    return -1;
  float values[2];
  std::memcpy(&values[0], (*file)->bytes(*(*file)->find("a")).data(), sizeof(float));
  std::memcpy(&values[1], (*file)->bytes(*(*file)->find("b")).data(), sizeof(float));
  return values[0] == values[1] ? values[0] : -1;
}

size_t filesIn(const Folder &folder) {
  return size_t(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

/// Saves 2 over 1 in a process of its own, with the fault at its call number `call`.
/// Gives the exit status: 9 where it was killed, 0 for success, 1 for an error.
int saveInChild(const std::filesystem::path &path, Fault kind, int call) {
  const pid_t child = fork();
  if (child == 0) {
    fault = kind;
    calls_left = call;
    _exit(saveNumbers(path, 2).ok() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

} // namespace

TEST_CASE("a save that is killed leaves the old checkpoint or the new one") {
  for (const Fault kind : {Fault::KillBefore, Fault::KillAfter}) {
    Folder folder;
    const auto path = folder / "w.rtch";
    int kills = 0;
    for (int call = 0;; ++call) {
      REQUIRE(saveNumbers(path, 1).ok());
      const int status = saveInChild(path, kind, call);
      const float found = numberIn(path);
      INFO("killed at call " << call);
      CHECK((found == 1 || found == 2));
      if (status != 9) {
        CHECK(status == 0);
        CHECK(found == 2);
        break;
      }
      ++kills;
    }
    // Room, two tensors, metadata, header, footer, fsync, rename, fsync of the folder.
    CHECK(kills == 9);
    REQUIRE(saveNumbers(path, 3).ok());
    CHECK(filesIn(folder) == 1); // what the killed ones left is gone
  }
}

TEST_CASE("a disk that fails or is full leaves the old checkpoint") {
  for (const int reason : {EIO, ENOSPC}) {
    fault_errno = reason;
    Folder folder;
    const auto path = folder / "w.rtch";
    for (int call = 0; call < 8; ++call) {
      REQUIRE(saveNumbers(path, 1).ok());
      fault = Fault::Error;
      calls_left = call;
      const core::Status status = saveNumbers(path, 2);
      fault = Fault::None;
      INFO("failed at call " << call);
      REQUIRE_FALSE(status.ok());
      CHECK(status.error().code == core::ErrorCode::CheckpointIo);
      CHECK(status.error().message.find(std::strerror(reason)) != std::string::npos);
      CHECK(numberIn(path) == 1);
      CHECK(filesIn(folder) == 1);
    }
  }
}

TEST_CASE("a folder that cannot be synced leaves the new checkpoint, with a word") {
  Folder folder;
  const auto path = folder / "w.rtch";
  REQUIRE(saveNumbers(path, 1).ok());
  fault = Fault::Error;
  calls_left = 8;
  const core::Status status = saveNumbers(path, 2);
  fault = Fault::None;
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code == core::ErrorCode::CheckpointDurability);
  CHECK(numberIn(path) == 2);
}

TEST_CASE("the temporary file of a living process is left alone") {
  Folder folder;
  const auto path = folder / "w.rtch";
  const auto living =
      folder.path() / (".w.rtch.tmp." + std::to_string(getppid()) + ".00");
  const auto foreign = folder.path() / ".w.rtch.tmp.notes";
  writeFile(living, "x");
  writeFile(foreign, "x");
  REQUIRE(saveNumbers(path, 1).ok());
  CHECK(std::filesystem::exists(living));
  CHECK(std::filesystem::exists(foreign));
}
