#include "runtime/executor/Constants.h"

#include "runtime/core/Differences.h"
#include "runtime/core/ExprTable.h"
#include "runtime/core/PackMatrix.h"
#include "runtime/core/StridedCopy.h"
#include "runtime/format/Text.h"

#include <algorithm>
#include <cstring>

namespace rtorch::executor {

using core::ErrorCode;
using core::makeError;
using core::Status;
using format::Constant;
using format::Manifest;
using format::text;

namespace {

core::Error contradiction(std::string_view what) {
  return makeError(ErrorCode::ModulePlan,
                   text("the module contradicts itself: ", what));
}

/// Sizes and strides of a weight, which no symbol decides.
struct Shape {
  std::vector<int64_t> sizes, strides;
  Shape(const Manifest &manifest, const format::TensorSpec &spec) {
    for (const format::ExprId id : spec.sizes)
      sizes.push_back(core::constantValue(manifest, id).value_or(-1));
    for (const format::ExprId id : spec.strides)
      strides.push_back(core::constantValue(manifest, id).value_or(-1));
  }
};

void compare(const Manifest &manifest, const format::Weight &weight,
             const core::TensorView &given, core::Differences &differences) {
  const Shape wanted(manifest, weight.tensor);
  if (given.dtype != weight.tensor.dtype)
    differences.add(text("'", weight.name, "': expected dtype ",
                         core::dtypeName(weight.tensor.dtype), ", but got ",
                         core::dtypeName(given.dtype)));
  if (!std::ranges::equal(given.sizes, wanted.sizes))
    differences.add(text("'", weight.name, "': expected shape ",
                         core::printList(wanted.sizes), ", but got ",
                         core::printList(given.sizes)));
}

/// Whether the given tensor's memory is the constant, byte for byte.
bool isInPlace(const Constant &constant, const format::Weight &weight,
               const Shape &wanted, const core::TensorView &given) {
  uint64_t bytes = core::elementBytes(given.dtype);
  for (const int64_t size : wanted.sizes)
    bytes *= uint64_t(size);
  return weight.byte_offset == 0 && bytes == constant.bytes &&
         reinterpret_cast<uintptr_t>(given.data) % RTORCH_ALIGNMENT == 0 &&
         core::isRowMajor(wanted.sizes, wanted.strides) &&
         core::isRowMajor(given.sizes, given.strides);
}

std::vector<std::byte> rowMajorCopy(const core::TensorView &tensor) {
  int64_t count = 1;
  std::vector<int64_t> strides(tensor.sizes.size());
  for (size_t dim = strides.size(); dim-- > 0; count *= tensor.sizes[dim])
    strides[dim] = count;
  const size_t width = core::elementBytes(tensor.dtype);
  std::vector<std::byte> out(size_t(count) * width);
  core::copyStrided(tensor.sizes, width, out.data(), strides,
                    static_cast<const std::byte *>(tensor.data), tensor.strides);
  return out;
}

} // namespace

core::Result<std::byte *> Constants::allocate(size_t index, uint64_t bytes) {
  if (Status status = own_[index].reserve(std::max<uint64_t>(bytes, 1), "a constant");
      !status.ok())
    return status;
  std::memset(own_[index].data(), 0, bytes);
  bytes_[index] = {own_[index].data(), bytes};
  return own_[index].data();
}

/// Puts a weight into its constant. Of tied ones, the first is taken and the others
/// must be equal.
Status Constants::place(const Manifest &manifest, const format::Weight &weight,
                        const core::TensorView &given) {
  const Constant &constant = manifest.constants[weight.constant];
  const Shape wanted(manifest, weight.tensor);
  const auto extent =
      core::extentBytes(weight.tensor.dtype, wanted.sizes, wanted.strides);
  if (!extent || uint64_t(*extent) > constant.bytes - weight.byte_offset)
    return contradiction(
        text("weight '", weight.name, "' does not lie within its storage"));
  const bool first = bytes_[weight.constant].data() == nullptr;
  if (first && isInPlace(constant, weight, wanted, given)) {
    bytes_[weight.constant] = {static_cast<const std::byte *>(given.data),
                               constant.bytes};
    return {};
  }
  if (first)
    if (auto memory = allocate(weight.constant, constant.bytes); !memory.ok())
      return std::move(memory).takeStatus();
  const std::byte *base = bytes_[weight.constant].data() + weight.byte_offset;
  if (given.data == base)
    return {};
  if (own_[weight.constant].data())
    core::copyStrided(wanted.sizes, core::elementBytes(weight.tensor.dtype),
                      const_cast<std::byte *>(base), wanted.strides,
                      static_cast<const std::byte *>(given.data), given.strides);
  return {};
}

Status Constants::bindWeights(const Manifest &manifest,
                              std::span<const NamedWeight> given) {
  std::vector<const NamedWeight *> sorted;
  for (const NamedWeight &each : given)
    sorted.push_back(&each);
  std::ranges::sort(sorted, {}, &NamedWeight::name);
  std::vector<const core::TensorView *> found;
  std::vector<std::string_view> known;
  core::Differences differences;
  for (const format::Weight &weight : manifest.weights) {
    known.push_back(weight.name);
    const auto at = std::ranges::lower_bound(sorted, std::string_view(weight.name), {},
                                             &NamedWeight::name);
    if (at == sorted.end() || (*at)->name != weight.name) {
      differences.add(text("'", weight.name, "': missing"));
      continue;
    }
    found.push_back(&(*at)->tensor);
    compare(manifest, weight, (*at)->tensor, differences);
  }
  std::ranges::sort(known);
  for (const NamedWeight *each : sorted)
    if (!std::ranges::binary_search(known, each->name))
      differences.add(text("'", each->name, "': unexpected"));
  if (Status status = differences.status("the weights do not fit the module");
      !status.ok())
    return status;
  for (size_t i = 0; i < found.size(); ++i)
    if (Status status = place(manifest, manifest.weights[i], *found[i]); !status.ok())
      return status;
  // Tied weights lie in the same memory: whoever gives them must give them equal.
  std::vector<uint32_t> names(manifest.constants.size());
  for (const format::Weight &weight : manifest.weights)
    ++names[weight.constant];
  for (size_t i = 0; i < found.size(); ++i) {
    const format::Weight &weight = manifest.weights[i];
    const std::byte *base = bytes_[weight.constant].data() + weight.byte_offset;
    if (names[weight.constant] < 2 || found[i]->data == base)
      continue;
    const Shape wanted(manifest, weight.tensor);
    const core::TensorView placed{weight.tensor.dtype, wanted.sizes, wanted.strides,
                                  const_cast<std::byte *>(base)};
    if (rowMajorCopy(placed) != rowMajorCopy(*found[i]))
      differences.add(text("'", weight.name,
                           "': expected the values of the weight that it is tied to"));
  }
  return differences.status("the weights do not fit the module");
}

Status Constants::bind(const format::ModuleFile &file, const Manifest &manifest,
                       std::span<const NamedWeight> weights,
                       std::shared_ptr<const void> owner) {
  const bool external = !manifest.weights.empty();
  if (external && weights.empty())
    return makeError(ErrorCode::ModuleWeights,
                     text("the module was compiled without its ",
                          manifest.weights.size(),
                          " weights; expected them with the load, but got none"));
  if (!external && !weights.empty())
    return makeError(ErrorCode::ModuleWeights,
                     text("the module has its weights; expected none with the load, "
                          "but got ",
                          weights.size()));
  bytes_.resize(manifest.constants.size());
  own_.resize(manifest.constants.size());
  owner_ = std::move(owner);
  if (external)
    if (Status status = bindWeights(manifest, weights); !status.ok())
      return status;
  for (size_t i = 0; i < bytes_.size(); ++i) {
    const Constant &constant = manifest.constants[i];
    if (constant.kind == Constant::Kind::File)
      bytes_[i] = file.constant(constant);
    else if (constant.kind == Constant::Kind::Weight && !bytes_[i].data() &&
             constant.bytes != 0)
      return contradiction(text("no weight gives '", constant.name, "'"));
    else if (constant.kind != Constant::Kind::Weight)
      if (auto memory = allocate(i, constant.bytes); !memory.ok())
        return std::move(memory).takeStatus();
  }
  return {};
}

Status Constants::runInit(const Manifest &manifest, const Image &image,
                          const format::Launch &launch) {
  const auto number = [&](format::ExprId id) {
    return core::constantValue(manifest, id).value_or(-1);
  };
  std::vector<void *> operands;
  for (const format::Operand &operand : launch.operands) {
    const auto bytes = bytes_[manifest.storages[operand.storage].index];
    const int64_t offset = number(operand.byte_offset);
    if (offset < 0 || uint64_t(offset) > bytes.size())
      return contradiction(text("an operand of '", launch.name, "' lies outside"));
    operands.push_back(const_cast<std::byte *>(bytes.data()) + offset);
  }
  std::vector<int64_t> values;
  for (const format::ExprId id : launch.values)
    values.push_back(number(id));
  const format::Kernel &kernel = manifest.kernels[launch.kernel];
  const rtorch_kernel function = image.find(kernel.symbol);
  if (!function)
    return makeError(ErrorCode::ModuleLink,
                     text("kernel '", kernel.name, "' is not in the image"));
  core::AlignedBuffer scratch;
  const int64_t room = number(launch.scratch_bytes);
  if (room < 0)
    return contradiction(text("'", launch.name, "' has no number of bytes"));
  if (Status status = scratch.reserve(size_t(room) + 1, "scratch"); !status.ok())
    return status;
  const rtorch_frame frame{operands.data(), values.data()};
  const int32_t site = function(&frame, 0, number(launch.grid), scratch.data());
  if (site == 0)
    return {};
  if (site < 0 || size_t(site) > launch.errors.size())
    return contradiction(text("'", launch.name, "' failed without a reason"));
  const format::ErrorSite &error = launch.errors[size_t(site) - 1];
  return core::Error{ErrorCode::RunFailed, text("preparing weights: ", error.message),
                     error.node, error.source};
}

/// Lets go of memory that only the init schedule and packing have read.
void Constants::dropUnused(const Manifest &manifest) {
  std::vector<bool> used(bytes_.size());
  const auto use = [&](uint32_t storage) {
    if (manifest.storages[storage].kind == format::StorageKind::Constant)
      used[manifest.storages[storage].index] = true;
  };
  for (const format::Launch &launch : manifest.schedule)
    for (const format::Operand &operand : launch.operands)
      use(operand.storage);
  for (const format::Step &step : manifest.steps)
    for (const format::Operand &condition : step.condition)
      use(condition.storage);
  for (const format::Result &result : manifest.results)
    if (result.kind == format::Result::Kind::View)
      use(result.storage);
  for (const format::State &state : manifest.states)
    used[state.initial] = true;
  for (size_t i = 0; i < bytes_.size(); ++i) {
    if (used[i] || !own_[i].data())
      continue;
    own_[i] = {};
    bytes_[i] = {};
  }
}

Status Constants::prepare(const Manifest &manifest, const Image &image) {
  for (const format::Launch &launch : manifest.init)
    if (Status status = runInit(manifest, image, launch); !status.ok())
      return status;
  for (size_t i = 0; i < bytes_.size(); ++i) {
    const Constant &constant = manifest.constants[i];
    if (constant.kind != Constant::Kind::Packed)
      continue;
    const format::Packing &p = constant.packing;
    core::packMatrix(int64_t(p.columns), int64_t(p.element_bytes),
                     bytes_[constant.source].data() + p.offset * p.element_bytes,
                     int64_t(p.k), int64_t(p.n), int64_t(p.row_stride),
                     int64_t(p.column_stride), own_[i].data());
  }
  dropUnused(manifest);
  return {};
}

} // namespace rtorch::executor
