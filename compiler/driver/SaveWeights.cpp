#include "compiler/driver/SaveWeights.h"

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/Save.h"
#include "runtime/core/StridedCopy.h"

namespace rtorch::compiler {
namespace {

using Weight = emit::ExternalWeights::Weight;

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

std::optional<core::DType> dtypeOf(importer::ScalarType type) {
  for (int32_t number = 0; number < core::kDTypes; ++number)
    if (importer::scalarTypeName(type) == core::dtypeName(core::DType(number)))
      return core::DType(number);
  return std::nullopt;
}

std::vector<int64_t> numbersOf(const std::vector<layout::Expr> &exprs) {
  std::vector<int64_t> numbers;
  for (const layout::Expr &expr : exprs)
    numbers.push_back(expr.constant().value_or(0));
  return numbers;
}

/// Whether the file holds exactly these tensors.
bool holds(const std::string &path, const std::vector<checkpoint::SavedTensor> &saved) {
  auto file = checkpoint::Checkpoint::open(path, checkpoint::Verify::Full);
  if (!file.ok() || (*file)->names().size() != saved.size())
    return false;
  for (const checkpoint::SavedTensor &each : saved) {
    const checkpoint::NamedTensor *named = (*file)->find(each.name);
    if (!named)
      return false;
    const checkpoint::TensorEntry &entry = (*file)->entry(*named);
    std::vector<std::byte> ours(entry.bytes), theirs(entry.bytes);
    const auto dense =
        checkpoint::stridesOf(each.tensor.sizes, checkpoint::Storage::RowMajor);
    const auto fits = [&](std::vector<std::byte> &memory) {
      return std::vector<checkpoint::ExpectedTensor>{
          {each.name, {each.tensor.dtype, each.tensor.sizes, dense, memory.data()}}};
    };
    if (!checkpoint::load(**file, fits(theirs), /*strict=*/false).ok())
      return false;
    core::copyStrided(
        each.tensor.sizes, core::elementBytes(each.tensor.dtype), ours.data(), dense,
        static_cast<const std::byte *>(each.tensor.data), each.tensor.strides);
    if (ours != theirs)
      return false;
  }
  return true;
}

} // namespace

llvm::Expected<std::vector<Weight>> weightsOf(const importer::Program &program) {
  std::vector<Weight> weights;
  for (const auto &[name, payload] : program.weights) {
    const importer::TensorMeta &meta = payload.meta;
    const auto dtype = dtypeOf(meta.dtype);
    if (!dtype)
      return failure("weight '" + name + "': modules have no dtype " +
                     std::string(importer::scalarTypeName(meta.dtype)));
    weights.push_back({name, payload.storage, *dtype, numbersOf(meta.sizes),
                       numbersOf(meta.strides), meta.offset.constant().value_or(0)});
  }
  if (weights.empty())
    return failure("the program has no weights to be left out");
  return weights;
}

llvm::Error saveWeights(const importer::Program &program, const std::string &path) {
  auto weights = weightsOf(program);
  if (!weights)
    return weights.takeError();
  std::vector<checkpoint::SavedTensor> saved;
  for (const Weight &weight : *weights) {
    const importer::Payload &payload = program.weights.at(weight.name);
    // An empty tensor may lie behind the end of its storage.
    const bool isEmpty = core::isEmpty(weight.sizes);
    const auto *data = payload.bytes.data() +
                       (isEmpty ? 0 : weight.offset * core::elementBytes(weight.dtype));
    saved.push_back(
        {weight.name,
         {weight.dtype, weight.sizes, weight.strides, const_cast<std::byte *>(data)},
         payload.isParameter && payload.meta.requiresGrad});
  }
  if (holds(path, saved))
    return llvm::Error::success();
  checkpoint::SaveOptions options;
  options.writer = "rtorch " RTORCH_VERSION;
  if (core::Status status = checkpoint::save(path, saved, options); !status.ok())
    return failure(status.error().message);
  return llvm::Error::success();
}

} // namespace rtorch::compiler
