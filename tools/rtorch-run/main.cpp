// The command line of rtorch-run.
#include "runtime/format/KernelAbi.h"
#include "tools/rtorch-run/Command.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <rtorch/runtime.h>

namespace {

std::string version() {
  const uint32_t abi = rtorch_abi_version();
  return std::string("rtorch-run ") + rtorch_version() + " (runtime ABI " +
         std::to_string(abi >> 16) + "." + std::to_string(abi & 0xFFFF) +
         ", kernel ABI " + std::to_string(RTORCH_KERNEL_ABI) + ")";
}

int runCommand(int argc, char **argv) {
  rtorch::run::Options options;
  bool describe = false, verify = false;
  CLI::App app{"Runs a compiled module on the arrays of a .npz file, or says what the "
               "module takes and gives.\n\n"
               "The arrays of --inputs, in their order, are the module's arguments: "
               "bfloat16 as uint16\nbits, integers and constants as 0-d arrays. "
               "--outputs gets the results as out_<i>, inputs\nthat the module changes "
               "as after_<i>, buffers that it changes as buf_<name>.",
               "rtorch-run"};
  app.set_version_flag("--version", version());
  app.add_option("module", options.module, "the module, a .rtm file")
      ->required()
      ->type_name("MODULE");
  auto *inputs = app.add_option("--inputs", options.inputs,
                                "arguments; may be left out where there are none")
                     ->type_name("IN.npz");
  app.add_option(
         "--weights", options.weights,
         "the checkpoint with the weights of a module that was compiled without "
         "them")
      ->type_name("W.rtch");
  auto *outputs =
      app.add_option("--outputs", options.outputs, "where to write the results")
          ->type_name("OUT.npz");
  app.add_option("--threads", options.threads,
                 "threads to run on (default: the CPUs of the process)")
      ->check(CLI::Range(1u, 1024u))
      ->type_name("N");
  app.add_option("--repeat", options.repeat,
                 "runs; the first is reported on its own (default: 1)")
      ->check(CLI::Range(1u, 1000000000u))
      ->type_name("N");
  app.add_option("--cpu-level", options.cpu_level,
                 "run the module's code for this CPU (default: the best that this CPU "
                 "can run; RTORCH_CPU_LEVEL)")
      ->type_name("CPU");
  app.add_flag("--relayout", options.relayout,
               "copy inputs into the declared strides instead of refusing others");
  app.add_option("--profile", options.profile,
                 "write a trace of one more run, for Perfetto")
      ->type_name("TRACE.json");
  app.add_flag("--json", options.json, "print the report as JSON");
  app.add_option(
         "--store", options.record.store,
         "record the run in the store of this directory (default: RTORCH_STORE, "
         "or rtorch in the user's data directory)")
      ->type_name("DIR");
  app.add_flag("--no-store", options.record.off, "record nothing");
  app.add_option("--quantile-error", options.record.epsilon,
                 "bound of the rank error of recorded quantiles (default: 0.001)")
      ->check(CLI::Range(1e-6, 0.5))
      ->type_name("E");
  app.add_flag("--describe", describe,
               "print what the module takes and gives; runs nothing")
      ->excludes(inputs)
      ->excludes(outputs);
  app.add_flag("--verify", verify,
               "compare all bytes of the module with their checksums; runs nothing")
      ->excludes(inputs)
      ->excludes(outputs)
      ->excludes("--describe");
  app.footer("Exit status: 0 done, 1 failed, 2 wrong usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? rtorch::run::kDone : rtorch::run::kWrongUsage;
  }
  if (describe)
    return rtorch::run::describeModule(options);
  if (verify)
    return rtorch::run::verifyModule(options);
  return rtorch::run::runModule(options);
}

} // namespace

int main(int argc, char **argv) {
  try {
    return runCommand(argc, argv);
  } catch (const std::exception &error) { // no memory
    std::fprintf(stderr, "rtorch-run: error: %s\n", error.what());
    return rtorch::run::kFailed;
  }
}
