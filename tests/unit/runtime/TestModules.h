// Small modules, made by hand, that the runtime's tests load.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/executor/Instance.h"
#include "runtime/executor/Module.h"
#include "runtime/format/Manifest.h"
#include "runtime/format/ModuleFile.h"

#include <filesystem>
#include <string>
#include <vector>

namespace rtorch::test {

/// A folder that is removed with all its files at the end.
class TemporaryFolder {
public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  ~TemporaryFolder();
  std::filesystem::path operator/(const std::string &name) const {
    return path_ / name;
  }

private:
  std::filesystem::path path_;
};

/// A manifest under construction, and the bytes of its constants.
struct TestModule {
  format::Manifest manifest;
  std::vector<std::vector<float>> constants;

  TestModule();
  // The expression table, without sharing.
  format::ExprId number(int64_t value);
  format::ExprId symbol(uint32_t index);
  format::ExprId op(format::ExprOp op, format::ExprId a, format::ExprId b);
  std::vector<format::ExprId> numbers(const std::vector<int64_t> &values);

  format::TensorSpec tensor(format::DType dtype, const std::vector<int64_t> &sizes,
                            const std::vector<int64_t> &strides);
  format::Argument &argument(const std::string &name, format::TensorSpec spec);
  format::Result &result(const std::string &name, format::TensorSpec spec);
  uint32_t constant(const std::string &name, std::vector<float> values);
  uint32_t storage(format::StorageKind kind, uint32_t index);
  uint32_t arena(format::ExprId offset, format::ExprId bytes);
  /// A launch of the kernel with that symbol on whole storages.
  format::Launch &launch(const std::string &kernel, const std::string &node,
                         const std::vector<uint32_t> &storages,
                         const std::vector<format::ExprId> &values,
                         format::ExprId grid);

  format::FormatStatus write(const std::filesystem::path &path);
};

/// y = 2 (2 x + 1) + 1 for x: f32 [4, 8], through the arena; the grid has 2 tiles.
TestModule scaleModule();

/// embedding(ids) for ids: i64 [s0, s1], s0 in 1..64, s1 in 2..512 and even; the table
/// has 10 rows of 8, row r is all r.
TestModule embeddingModule();

/// total += x (buffer "total", f32 [8], initially 0, 1, ..., 7); y += x (argument);
/// results: a view of elements 2.. of total, None, and 42.
TestModule statefulModule();

/// Running sums of the rows of x: f32 [s0, 1000].
TestModule runningSumsModule();

/// total + x[0] + ... + x[s0 - 1] for x: f32 [s0, 8] and total: f32 [8], written to
/// total by a loop over the rows; the result is its number of rounds.
TestModule loopModule();

/// While `going` (a bool) is true, total += x, at most 5 times; then, if `doubling` is
/// true, y = 2 total + 1, else y = total + x.
TestModule branchModule();

/// The bytes of the test kernels' shared object.
std::vector<std::byte> kernelImage();

/// Writes and loads a module; fails the test if that does not work.
std::shared_ptr<const executor::Module> load(TestModule module,
                                             const std::filesystem::path &path);
std::unique_ptr<executor::Instance>
instantiate(std::shared_ptr<const executor::Module> module);

/// A tensor leaf over a test's own memory; its values refer to it.
struct Leaf {
  format::DType dtype;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  void *data;
  core::Value value() const {
    core::Value out;
    out.kind = core::Value::Kind::Tensor;
    out.tensor = {dtype, sizes, strides, data};
    return out;
  }
};

/// One run by default options.
core::Status run(executor::Instance &instance, std::vector<core::Value> arguments,
                 std::vector<core::Value> &results,
                 const executor::RunOptions &options = {});

} // namespace rtorch::test
