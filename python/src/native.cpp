// The module rtorch._native: the compiler and the runtime for Python.
#include "compiler/include/rtorch/compiler.h"
#include "python/src/Checkpoint.h"
#include "python/src/Errors.h"
#include "python/src/Module.h"
#include "python/src/Record.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;
using namespace rtorch;

namespace {

py::dict asDict(const compiler::Report &report) {
  py::dict dict, seconds, kernels;
  for (const auto &[phase, value] : report.seconds)
    seconds[py::str(phase)] = value;
  for (const auto &[kernel, value] : report.kernelSeconds)
    kernels[py::str(kernel)] = value;
  py::list copies;
  for (const compiler::Report::Copy &copy : report.copies)
    copies.append(py::dict(py::arg("place") = copy.place, py::arg("bytes") = copy.bytes,
                           py::arg("example_bytes") = copy.exampleBytes));
  dict["target_cpu"] = report.targetCpu;
  dict["triple"] = report.triple;
  dict["ops"] = report.ops;
  dict["launches"] = report.launches;
  dict["kernels"] = report.distinctKernels;
  dict["cached_kernels"] = report.cachedKernels;
  dict["folded_constants"] = report.foldedConstants;
  dict["views"] = report.views;
  dict["copies"] = copies;
  dict["layouts"] = report.layouts;
  dict["seconds"] = seconds;
  dict["kernel_seconds"] = kernels;
  dict["total_seconds"] = report.totalSeconds;
  dict["code_bytes"] = report.codeBytes;
  dict["constant_bytes"] = report.constantBytes;
  dict["file_bytes"] = report.fileBytes;
  dict["arena_bytes"] = report.arenaBytes;
  dict["open_checks"] = report.openChecks;
  return dict;
}

py::dict compile(const std::string &input, const std::string &output,
                 const std::string &targetCpu, unsigned threads, bool winograd,
                 const std::string &kernelCache, uint64_t kernelCacheBytes) {
  compiler::Options options;
  options.kernelCache = kernelCache;
  options.kernelCacheBytes = kernelCacheBytes;
  options.targetCpu = targetCpu;
  options.threads = threads;
  options.winograd = winograd;
  compiler::Report report;
  std::string error;
  bool done = false;
  {
    py::gil_scoped_release released;
    done = compiler::compileFile(input, output, options, report, error);
  }
  if (!done)
    python::fail("RT_COMPILE", error);
  return asDict(report);
}

} // namespace

PYBIND11_MODULE(_native, m) {
  m.def("compile", &compile, py::arg("input"), py::arg("output"),
        py::arg("target_cpu") = "native", py::arg("threads") = 0,
        py::arg("winograd") = true, py::arg("kernel_cache") = "",
        py::arg("kernel_cache_bytes") = uint64_t(1) << 30);
  m.def("supported_ops", &compiler::supportedOps);
  m.def("llvm_description", &compiler::llvmDescription);
  m.def("version", [] { return std::string(rtorch_version()); });
  py::class_<python::Module>(m, "Module")
      .def(py::init<const std::string &>(), py::arg("path"))
      .def("call", &python::Module::call, py::arg("arguments"), py::arg("threads") = 0,
           py::arg("relayout") = false)
      .def("arguments", &python::Module::arguments)
      .def("results", &python::Module::results)
      .def("states", &python::Module::states)
      .def("describe", &python::Module::describe)
      .def_property_readonly("copies", &python::Module::copies);
  m.def("save_checkpoint", &python::saveCheckpoint, py::arg("path"), py::arg("tensors"),
        py::arg("user"), py::arg("sync") = true);
  py::class_<python::Checkpoint>(m, "Checkpoint")
      .def(py::init<const std::string &>(), py::arg("path"))
      .def("tensors", &python::Checkpoint::tensors)
      .def("user", &python::Checkpoint::user)
      .def("describe", &python::Checkpoint::describe)
      .def("load_into", &python::Checkpoint::loadInto, py::arg("tensors"),
           py::arg("strict") = true);
  py::class_<python::RecordedRun>(m, "RecordedRun")
      .def(py::init<const std::string &, const py::dict &,
                    const std::optional<std::string> &>(),
           py::arg("kind"), py::arg("facts"), py::arg("store") = py::none())
      .def("event", &python::RecordedRun::event, py::arg("name"), py::arg("fields"))
      .def("metric", &python::RecordedRun::metric, py::arg("name"), py::arg("value"))
      .def("finish", &python::RecordedRun::finish, py::arg("status"),
           py::arg("results"))
      .def_property_readonly("id", &python::RecordedRun::id)
      .def_property_readonly("directory", &python::RecordedRun::directory);
}
