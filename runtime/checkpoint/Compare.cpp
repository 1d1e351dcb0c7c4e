// What is expected of a checkpoint against what it holds.
#include "runtime/checkpoint/Checkpoint.h"

#include "runtime/core/Differences.h"
#include "runtime/core/StridedCopy.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <set>

namespace rtorch::checkpoint {

using core::ErrorCode;
using core::makeError;
using core::Status;
using format::text;

namespace {

void compareOne(const Checkpoint &checkpoint, const ExpectedTensor &expected,
                core::Differences &differences) {
  const NamedTensor *named = checkpoint.find(expected.name);
  if (!named)
    return differences.add(text("'", expected.name, "': missing"));
  const TensorEntry &entry = checkpoint.entry(*named);
  const FileDType &wanted = fileDTypeOf(expected.tensor.dtype);
  if (entry.dtype->dtype != expected.tensor.dtype)
    differences.add(text("'", expected.name, "': expected dtype ", wanted.name,
                         ", but got ", entry.dtype->name));
  if (!std::ranges::equal(entry.shape, expected.tensor.sizes))
    differences.add(text("'", expected.name, "': expected shape ",
                         core::printList(expected.tensor.sizes), ", but got ",
                         core::printList(entry.shape)));
}

} // namespace

Status compare(const Checkpoint &checkpoint, std::span<const ExpectedTensor> expected,
               bool strict) {
  core::Differences differences;
  std::set<std::string_view> names;
  for (const ExpectedTensor &each : expected) {
    names.insert(each.name);
    compareOne(checkpoint, each, differences);
  }
  if (strict)
    for (const NamedTensor &named : checkpoint.names())
      if (!names.contains(named.name))
        differences.add(text("'", named.name, "': unexpected"));
  return differences.status("the checkpoint does not fit");
}

Status load(const Checkpoint &checkpoint, std::span<const ExpectedTensor> targets,
            bool strict) {
  if (Status status = compare(checkpoint, targets, strict); !status.ok())
    return status;
  for (const ExpectedTensor &target : targets)
    if (Status status = checkpoint.verify(*checkpoint.find(target.name)); !status.ok())
      return status;
  for (const ExpectedTensor &target : targets) {
    const NamedTensor &named = *checkpoint.find(target.name);
    core::copyStrided(target.tensor.sizes, checkpoint.entry(named).dtype->bytes,
                      static_cast<std::byte *>(target.tensor.data),
                      target.tensor.strides, checkpoint.bytes(named).data(),
                      checkpoint.strides(named));
  }
  return {};
}

} // namespace rtorch::checkpoint
