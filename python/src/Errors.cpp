#include "python/src/Errors.h"

#include "runtime/include/rtorch/runtime.h"

#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace rtorch::python {

[[noreturn]] static void raise(const char *code, const char *message, const char *node,
                               const char *source) {
  py::object error =
      py::module_::import("rtorch._errors").attr("make")(code, message, node, source);
  PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
  throw py::error_already_set();
}

void check(rtorch_error *error) {
  if (!error)
    return;
  const std::string code = rtorch_error_code(error), node = rtorch_error_node(error),
                    message = rtorch_error_message(error),
                    source = rtorch_error_source(error);
  rtorch_error_destroy(error);
  raise(code.c_str(), message.c_str(), node.c_str(), source.c_str());
}

void fail(const std::string &code, const std::string &message) {
  raise(code.c_str(), message.c_str(), "", "");
}

} // namespace rtorch::python
