#include "python/src/Module.h"

#include "python/src/Errors.h"
#include "python/src/Tensors.h"

#include <deque>

namespace py = pybind11;

namespace rtorch::python {

/// An instance of a module. Stateful modules have one, which runs wait for.
struct Module::Instance {
  rtorch_instance *handle = nullptr;
  std::mutex running;
  std::shared_ptr<rtorch_module> module;

  ~Instance() { rtorch_instance_destroy(handle); }
};

/// An instance for the time of a run.
class Module::Borrowed {
public:
  explicit Borrowed(Module &owner) : owner_(owner) {
    std::lock_guard lock(owner.mutex_);
    const bool isStateful = owner.info_.state_count > 0;
    if (!owner.idle_.empty()) {
      instance_ = owner.idle_.back();
      if (!isStateful)
        owner.idle_.pop_back();
      return;
    }
    instance_ = std::make_shared<Instance>();
    instance_->module = owner.module_;
    check(rtorch_instance_create(owner.module_.get(), &instance_->handle));
    if (isStateful)
      owner.idle_.push_back(instance_);
  }
  ~Borrowed() {
    if (owner_.info_.state_count > 0)
      return;
    std::lock_guard lock(owner_.mutex_);
    owner_.idle_.push_back(std::move(instance_));
  }
  const std::shared_ptr<Instance> &operator*() const { return instance_; }

private:
  Module &owner_;
  std::shared_ptr<Instance> instance_;
};

/// The memory of one run's results.
struct Module::Run {
  struct Block {
    std::shared_ptr<void> memory;
    size_t bytes = 0;
    py::object tensor;
  };
  std::vector<Block> blocks;

  static void *allocate(void *user, uint32_t index, const rtorch_value *,
                        size_t bytes) {
    Block &block = static_cast<Run *>(user)->blocks[index];
    block.memory = std::shared_ptr<void>(python::allocate(bytes));
    block.bytes = bytes;
    return block.memory.get();
  }

  static bool contains(const void *begin, size_t bytes, const void *data) {
    const auto *first = static_cast<const char *>(begin);
    return data >= first && data < first + bytes;
  }

  /// Result `index`, which has memory of its own. All of these are made before any
  /// view.
  py::object owner(uint32_t index, const rtorch_value &value) {
    return blocks[index].tensor = ownTensor(value, blocks[index].memory);
  }

  /// A result without memory of its own that is a view of an argument, of another
  /// result or of a buffer. Null for what lies in the instance's arena or the module's
  /// constants.
  py::object view(const rtorch_value &value, const std::deque<Argument> &arguments,
                  const std::shared_ptr<Instance> &instance, const char *viewOf) {
    for (const Argument &argument : arguments)
      if (argument.isTensor() &&
          contains(argument.value.data, argument.extent(), value.data))
        return python::viewOf(argument.object, value.data, value);
    for (const Block &block : blocks)
      if (block.tensor && contains(block.memory.get(), block.bytes, value.data))
        return python::viewOf(block.tensor, value.data, value);
    if (std::string_view(viewOf).starts_with("buffer"))
      return ownTensor(value, instance);
    return {};
  }
};

Module::Module(const std::string &path) {
  rtorch_module *module = nullptr;
  check(rtorch_module_load(path.c_str(), nullptr, &module));
  module_ = {module, rtorch_module_destroy};
  info_.struct_size = sizeof info_;
  check(rtorch_module_describe(module, &info_));
}

static py::object plain(const rtorch_value &value) {
  switch (value.kind) {
  case RTORCH_VALUE_BOOL:
    return py::bool_(value.integer != 0);
  case RTORCH_VALUE_INT:
    return py::int_(value.integer);
  case RTORCH_VALUE_FLOAT:
    return py::float_(value.real);
  case RTORCH_VALUE_STRING:
    return py::str(value.string);
  default:
    return py::none();
  }
}

py::list Module::call(const py::sequence &given, uint32_t threads, bool relayout) {
  std::deque<Argument> arguments; // stable: values point into them
  std::vector<rtorch_value> values;
  values.reserve(given.size());
  for (py::handle object : given) {
    Argument &argument = arguments.emplace_back(object);
    argument.value.string = argument.text.c_str();
    values.push_back(argument.value);
  }
  const uint32_t count = info_.result_count;
  std::vector<rtorch_value> results(count, rtorch_value RTORCH_VALUE_INIT);
  Run run{std::vector<Run::Block>(count)};
  rtorch_run_options options = RTORCH_RUN_OPTIONS_INIT;
  options.threads = threads;
  options.relayout = relayout;
  options.allocate = Run::allocate;
  options.allocate_user = &run;
  Borrowed instance(*this);
  rtorch_error *error = nullptr;
  {
    py::gil_scoped_release released;
    std::lock_guard lock((*instance)->running);
    error =
        rtorch_instance_run((*instance)->handle, values.data(), uint32_t(values.size()),
                            results.data(), count, &options);
  }
  check(error);
  copies_ += options.copies;
  py::list list(count);
  for (uint32_t i = 0; i < count; ++i)
    if (results[i].kind != RTORCH_VALUE_TENSOR)
      list[i] = plain(results[i]);
    else if (run.blocks[i].memory)
      list[i] = run.owner(i, results[i]);
  std::vector<uint32_t> kept; // in memory that the next run overwrites
  std::vector<const rtorch_value *> keptValues;
  for (uint32_t i = 0; i < count; ++i) {
    if (results[i].kind != RTORCH_VALUE_TENSOR || run.blocks[i].memory)
      continue;
    rtorch_value_info info{};
    info.struct_size = sizeof info;
    check(rtorch_module_result(module_.get(), i, &info));
    py::object view =
        run.view(results[i], arguments, *instance, info.view_of ? info.view_of : "");
    if (view) {
      list[i] = std::move(view);
    } else {
      kept.push_back(i);
      keptValues.push_back(&results[i]);
    }
  }
  std::vector<py::object> copies = copiesOf(keptValues);
  for (size_t i = 0; i < kept.size(); ++i)
    list[kept[i]] = std::move(copies[i]);
  return list;
}

static py::object texts(const char *const *values, uint32_t count) {
  py::list list;
  for (uint32_t i = 0; i < count; ++i)
    list.append(py::str(values[i]));
  return py::tuple(list);
}

static py::dict asDict(const rtorch_value_info &info) {
  static constexpr const char *kinds[] = {"none", "tensor", "bool",
                                          "int",  "float",  "str"};
  py::dict dict;
  dict["kind"] = kinds[info.kind];
  dict["name"] = info.name;
  if (info.kind == RTORCH_VALUE_TENSOR) {
    dict["dtype"] = rtorch_dtype_name(info.dtype);
    dict["sizes"] = texts(info.sizes, info.rank);
    dict["strides"] = texts(info.strides, info.rank);
  }
  if (info.is_constant)
    dict["constant"] = plain(info.constant);
  dict["is_mutated"] = bool(info.is_mutated);
  if (info.is_view)
    dict["view_of"] = info.view_of;
  if (info.value && *info.value)
    dict["value"] = info.value;
  return dict;
}

template <typename Query>
static py::list listOf(const rtorch_module *module, uint32_t count, Query query) {
  py::list list;
  for (uint32_t i = 0; i < count; ++i) {
    rtorch_value_info info{};
    info.struct_size = sizeof info;
    check(query(module, i, &info));
    list.append(asDict(info));
  }
  return list;
}

py::list Module::arguments() const {
  return listOf(module_.get(), info_.argument_count, rtorch_module_argument);
}

py::list Module::results() const {
  return listOf(module_.get(), info_.result_count, rtorch_module_result);
}

py::dict Module::states() {
  py::dict dict;
  if (info_.state_count == 0)
    return dict;
  Borrowed instance(*this);
  for (uint32_t i = 0; i < info_.state_count; ++i) {
    rtorch_value_info info{};
    info.struct_size = sizeof info;
    check(rtorch_module_state(module_.get(), i, &info));
    rtorch_value value = RTORCH_VALUE_INIT;
    check(rtorch_instance_state((*instance)->handle, i, &value));
    dict[info.name] = ownTensor(value, *instance);
  }
  return dict;
}

py::dict Module::describe() const {
  py::dict dict;
  dict["model"] = info_.model;
  dict["producer"] = info_.producer;
  dict["triple"] = info_.triple;
  dict["cpu"] = info_.cpu;
  dict["features"] = texts(info_.features, info_.feature_count);
  dict["kernels"] = info_.kernel_count;
  dict["launches"] = info_.launch_count;
  dict["code_bytes"] = info_.code_bytes;
  dict["constant_bytes"] = info_.constant_bytes;
  dict["file_bytes"] = info_.file_bytes;
  return dict;
}

} // namespace rtorch::python
