#include "python/src/Record.h"

namespace py = pybind11;

namespace rtorch::python {

static record::Value valueOf(py::handle object) {
  if (PyBool_Check(object.ptr()))
    return object.ptr() == Py_True;
  if (PyLong_Check(object.ptr())) {
    int overflows = 0;
    const long long number = PyLong_AsLongLongAndOverflow(object.ptr(), &overflows);
    if (!overflows)
      return int64_t(number);
  }
  if (PyFloat_Check(object.ptr()))
    return PyFloat_AS_DOUBLE(object.ptr());
  if (PyUnicode_Check(object.ptr()))
    return object.cast<std::string>();
  // Lists, dicts, None and large numbers; raises for what JSON has no form for.
  const py::object text =
      py::module_::import("json").attr("dumps")(object, py::arg("allow_nan") = false);
  return record::Json{text.cast<std::string>()};
}

static record::Fields fieldsOf(const py::dict &dict) {
  record::Fields fields;
  for (const auto &[key, value] : dict)
    fields.emplace_back(py::str(key).cast<std::string>(), valueOf(value));
  return fields;
}

RecordedRun::RecordedRun(const std::string &kind, const py::dict &facts,
                         const std::optional<std::string> &store) {
  record::Options options;
  if (store)
    options.store = *store;
  std::string error;
  run_ = record::Run::begin(kind, fieldsOf(facts), options, error);
  if (!run_)
    throw std::runtime_error(error);
}

void RecordedRun::event(const std::string &name, const py::dict &fields) {
  run_->event(name, fieldsOf(fields));
}

void RecordedRun::finish(const std::string &status, const py::dict &results) {
  std::string error;
  if (!run_->finish(status, fieldsOf(results), error))
    throw std::runtime_error(error);
}

} // namespace rtorch::python
