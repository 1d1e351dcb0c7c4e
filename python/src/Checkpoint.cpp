#include "python/src/Checkpoint.h"

#include "python/src/Errors.h"
#include "python/src/Tensors.h"

#include <deque>
#include <pybind11/stl.h>

namespace py = pybind11;

namespace rtorch::python {

namespace {

/// Tuples (name, tensor[, requires_grad]) as the C interface wants them.
struct Named {
  explicit Named(const py::list &tensors) {
    for (py::handle item : tensors) {
      const auto tuple = py::reinterpret_borrow<py::tuple>(item);
      names.push_back(tuple[0].cast<std::string>());
      const Argument &argument = arguments.emplace_back(tuple[1]);
      if (!argument.isTensor())
        throw py::type_error("expected a tensor for '" + names.back() + "'");
      rtorch_named_tensor named = RTORCH_NAMED_TENSOR_INIT;
      named.requires_grad = tuple.size() > 2 && tuple[2].cast<bool>();
      named.name = names.back().c_str();
      named.value = argument.value;
      values.push_back(named);
    }
  }

  // Deques: values point into them.
  std::deque<std::string> names;
  std::deque<Argument> arguments;
  std::vector<rtorch_named_tensor> values;
};

} // namespace

void saveCheckpoint(const std::string &path, const py::list &tensors,
                    const std::map<std::string, std::string> &user, bool sync) {
  const Named named(tensors);
  std::vector<const char *> keys, values;
  for (const auto &[key, value] : user) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  rtorch_save_options options = RTORCH_SAVE_OPTIONS_INIT;
  options.user_count = uint32_t(keys.size());
  options.user_keys = keys.data();
  options.user_values = values.data();
  options.skip_sync = !sync;
  rtorch_error *error = nullptr;
  {
    py::gil_scoped_release released;
    error = rtorch_checkpoint_save(path.c_str(), named.values.data(),
                                   uint32_t(named.values.size()), &options);
  }
  check(error);
}

Checkpoint::Checkpoint(const std::string &path) {
  rtorch_checkpoint *checkpoint = nullptr;
  rtorch_error *error = nullptr;
  {
    py::gil_scoped_release released;
    error = rtorch_checkpoint_open(path.c_str(), RTORCH_VERIFY_FULL, &checkpoint);
  }
  check(error);
  handle_ = {checkpoint, rtorch_checkpoint_destroy};
}

rtorch_checkpoint_info Checkpoint::info() const {
  rtorch_checkpoint_info info{};
  info.struct_size = sizeof info;
  check(rtorch_checkpoint_describe(handle_.get(), &info));
  return info;
}

rtorch_checkpoint_tensor Checkpoint::tensor(uint32_t index) const {
  rtorch_checkpoint_tensor tensor = RTORCH_CHECKPOINT_TENSOR_INIT;
  check(rtorch_checkpoint_tensor_at(handle_.get(), index, &tensor));
  return tensor;
}

py::list Checkpoint::tensors() const {
  py::list list;
  std::string unsupported;
  for (uint32_t i = 0, count = info().tensor_count; i < count; ++i) {
    const rtorch_checkpoint_tensor each = tensor(i);
    if (each.value.kind != RTORCH_VALUE_TENSOR) {
      unsupported += std::string(unsupported.empty() ? "" : ", ") + "'" + each.name +
                     "' (" + each.dtype_name + ")";
      continue;
    }
    // The mapping is read only, and PyTorch's tensors are not.
    const bool isAlias = *each.alias_of != '\0';
    list.append(py::make_tuple(each.name, each.alias_of, each.requires_grad != 0,
                               isAlias ? py::none() : copiesOf({&each.value}).front()));
  }
  if (!unsupported.empty())
    fail("RT_CHECKPOINT_UNSUPPORTED_DTYPE",
         "tensors of dtypes that rtorch lacks: " + unsupported);
  return list;
}

std::map<std::string, std::string> Checkpoint::user() const {
  std::map<std::string, std::string> out;
  for (uint32_t i = 0, count = info().user_count; i < count; ++i) {
    const char *key = "", *value = "";
    check(rtorch_checkpoint_user_at(handle_.get(), i, &key, &value));
    out[key] = value;
  }
  return out;
}

py::dict Checkpoint::describe() const {
  py::dict dict;
  for (uint32_t i = 0, count = info().tensor_count; i < count; ++i) {
    const rtorch_checkpoint_tensor each = tensor(i);
    py::tuple sizes(each.value.rank);
    for (uint32_t d = 0; d < each.value.rank; ++d)
      sizes[d] = each.value.sizes[d];
    dict[each.name] =
        py::dict(py::arg("dtype") = each.dtype_name, py::arg("shape") = sizes,
                 py::arg("layout") = each.layout, py::arg("alias_of") = each.alias_of,
                 py::arg("bytes") = each.bytes);
  }
  return dict;
}

void Checkpoint::loadInto(const py::list &tensors, bool strict) const {
  const Named named(tensors);
  rtorch_error *error = nullptr;
  {
    py::gil_scoped_release released;
    error = rtorch_checkpoint_load(handle_.get(), named.values.data(),
                                   uint32_t(named.values.size()), strict);
  }
  check(error);
}

} // namespace rtorch::python
