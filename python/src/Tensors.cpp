#include "python/src/Tensors.h"

#include "python/src/Errors.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace py = pybind11;

namespace rtorch::python {

const dlpack::Exchange &exchange() {
  static const dlpack::Exchange *found = [] {
    py::object tensor = py::module_::import("torch").attr("Tensor");
    if (!py::hasattr(tensor, "__dlpack_c_exchange_api__"))
      fail("RT_API_USAGE", "this PyTorch has no C functions for exchanging tensors: "
                           "rtorch needs 2.10 or newer");
    py::capsule capsule = tensor.attr("__dlpack_c_exchange_api__");
    auto *header = static_cast<dlpack::ExchangeHeader *>(
        PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    while (header && header->version.major != 1)
      header = header->previous;
    if (!header)
      fail("RT_API_USAGE",
           "this PyTorch exchanges tensors by another version of DLPack "
           "than 1");
    return reinterpret_cast<const dlpack::Exchange *>(header);
  }();
  return *found;
}

static int32_t dtypeOf(dlpack::DataType type) {
  if (type.lanes == 1)
    switch (type.code) {
    case dlpack::Bool:
      return RTORCH_BOOL;
    case dlpack::BFloat:
      return RTORCH_BFLOAT16;
    case dlpack::UInt:
      if (type.bits == 8)
        return RTORCH_UINT8;
      break;
    case dlpack::Int:
      return type.bits == 8    ? RTORCH_INT8
             : type.bits == 16 ? RTORCH_INT16
             : type.bits == 32 ? RTORCH_INT32
                               : RTORCH_INT64;
    case dlpack::Float:
      if (type.bits >= 16)
        return type.bits == 16   ? RTORCH_FLOAT16
               : type.bits == 32 ? RTORCH_FLOAT32
                                 : RTORCH_FLOAT64;
      break;
    }
  return -1;
}

static dlpack::DataType typeOf(int32_t dtype) {
  const auto bits = uint8_t(8 * rtorch_dtype_bytes(dtype));
  switch (dtype) {
  case RTORCH_BOOL:
    return {dlpack::Bool, 8, 1};
  case RTORCH_UINT8:
    return {dlpack::UInt, 8, 1};
  case RTORCH_BFLOAT16:
    return {dlpack::BFloat, 16, 1};
  case RTORCH_FLOAT16:
  case RTORCH_FLOAT32:
  case RTORCH_FLOAT64:
    return {dlpack::Float, bits, 1};
  default:
    return {dlpack::Int, bits, 1};
  }
}

static void setTensor(Argument &argument) {
  dlpack::Tensor &tensor = argument.tensor;
  if (exchange().borrow(argument.object.ptr(), &tensor) != 0)
    throw py::error_already_set();
  if (tensor.device.type != dlpack::Cpu)
    fail("RT_ARGUMENT_KIND",
         "expected tensors on the CPU, but got one on '" +
             py::str(argument.object.attr("device")).cast<std::string>() + "'");
  rtorch_value &value = argument.value;
  value.kind = RTORCH_VALUE_TENSOR;
  value.dtype = dtypeOf(tensor.dtype);
  if (value.dtype < 0)
    fail("RT_ARGUMENT_DTYPE",
         "no module takes tensors of " +
             py::str(argument.object.attr("dtype")).cast<std::string>());
  value.rank = uint32_t(tensor.rank);
  value.sizes = tensor.sizes;
  value.strides = tensor.strides;
  value.data = static_cast<char *>(tensor.data) + tensor.byteOffset;
}

Argument::Argument(py::handle object) : object(object) {
  PyObject *raw = object.ptr();
  if (raw == Py_None) {
    value.kind = RTORCH_VALUE_NONE;
  } else if (PyBool_Check(raw)) {
    value.kind = RTORCH_VALUE_BOOL;
    value.integer = raw == Py_True;
  } else if (PyLong_Check(raw)) {
    value.kind = RTORCH_VALUE_INT;
    value.integer = object.cast<int64_t>();
  } else if (PyFloat_Check(raw)) {
    value.kind = RTORCH_VALUE_FLOAT;
    value.real = PyFloat_AS_DOUBLE(raw);
  } else if (PyUnicode_Check(raw)) {
    value.kind = RTORCH_VALUE_STRING;
    text = object.cast<std::string>();
  } else {
    setTensor(*this);
  }
}

size_t Argument::extent() const {
  int64_t last = 0;
  for (int32_t i = 0; i < tensor.rank; ++i) {
    if (tensor.sizes[i] == 0)
      return 0;
    last += (tensor.sizes[i] - 1) * tensor.strides[i];
  }
  return size_t(last + 1) * rtorch_dtype_bytes(value.dtype);
}

void Free::operator()(void *memory) const { std::free(memory); }

Memory allocate(size_t bytes) {
  constexpr size_t alignment = 64;
  return Memory(
      std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment));
}

namespace {

/// A tensor on its way to PyTorch, and what it keeps alive.
struct Owned {
  dlpack::ManagedTensor managed{};
  std::vector<int64_t> numbers;
  std::shared_ptr<void> memory;
};

} // namespace

py::object ownTensor(const rtorch_value &value, std::shared_ptr<void> memory) {
  auto owned = std::make_unique<Owned>();
  owned->numbers.assign(value.sizes, value.sizes + value.rank);
  owned->numbers.insert(owned->numbers.end(), value.strides,
                        value.strides + value.rank);
  owned->memory = std::move(memory);
  dlpack::ManagedTensor &managed = owned->managed;
  managed.version = {1, 0};
  managed.context = owned.get();
  managed.deleter = [](dlpack::ManagedTensor *self) {
    delete static_cast<Owned *>(self->context);
  };
  managed.tensor = {value.data,
                    {dlpack::Cpu, 0},
                    int32_t(value.rank),
                    typeOf(value.dtype),
                    owned->numbers.data(),
                    owned->numbers.data() + value.rank,
                    0};
  void *object = nullptr;
  if (exchange().toObject(&managed, &object) != 0)
    throw py::error_already_set();
  owned.release(); // the tensor's now
  return py::reinterpret_steal<py::object>(static_cast<PyObject *>(object));
}

static py::tuple numbers(const int64_t *values, uint32_t count) {
  py::tuple result(count);
  for (uint32_t i = 0; i < count; ++i)
    result[i] = values[i];
  return result;
}

py::object viewOf(py::handle base, const void *data, const rtorch_value &value) {
  const auto first = base.attr("data_ptr")().cast<uintptr_t>();
  const auto bytes = reinterpret_cast<intptr_t>(data) - intptr_t(first);
  const int64_t offset = base.attr("storage_offset")().cast<int64_t>() +
                         bytes / int64_t(rtorch_dtype_bytes(value.dtype));
  return base.attr("as_strided")(numbers(value.sizes, value.rank),
                                 numbers(value.strides, value.rank), offset);
}

/// The bytes from the first to the last element.
static std::pair<const char *, const char *> touched(const rtorch_value &value) {
  const char *first = static_cast<const char *>(value.data);
  int64_t last = 0;
  for (uint32_t i = 0; i < value.rank; ++i) {
    if (value.sizes[i] == 0)
      return {first, first};
    last += (value.sizes[i] - 1) * value.strides[i];
  }
  return {first, first + size_t(last + 1) * rtorch_dtype_bytes(value.dtype)};
}

/// One tensor of rank 1 over a copy of these bytes.
static py::object copyOfBytes(const char *begin, const char *end, int32_t dtype) {
  const auto bytes = size_t(end - begin);
  std::shared_ptr<void> memory = allocate(bytes);
  if (bytes)
    std::memcpy(memory.get(), begin, bytes);
  const int64_t size = int64_t(bytes / rtorch_dtype_bytes(dtype)), stride = 1;
  rtorch_value value = RTORCH_VALUE_INIT;
  value.kind = RTORCH_VALUE_TENSOR;
  value.dtype = dtype;
  value.rank = 1;
  value.sizes = &size;
  value.strides = &stride;
  value.data = memory.get();
  return ownTensor(value, memory);
}

std::vector<py::object> copiesOf(const std::vector<const rtorch_value *> &values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](size_t i) { return touched(*values[i]).first; });
  std::vector<py::object> copies(values.size());
  for (size_t at = 0; at < order.size();) {
    auto [begin, end] = touched(*values[order[at]]);
    size_t next = at + 1; // those that overlap stay views of one memory
    for (; next < order.size() && touched(*values[order[next]]).first < end; ++next)
      end = std::max(end, touched(*values[order[next]]).second);
    py::object whole = copyOfBytes(begin, end, values[order[at]]->dtype);
    const auto memory = whole.attr("data_ptr")().cast<uintptr_t>();
    for (; at < next; ++at) {
      const rtorch_value &value = *values[order[at]];
      auto offset = static_cast<const char *>(value.data) - begin;
      copies[order[at]] =
          viewOf(whole, reinterpret_cast<const char *>(memory) + offset, value);
    }
  }
  return copies;
}

} // namespace rtorch::python
