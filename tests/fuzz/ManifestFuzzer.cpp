// Any bytes as a module's manifest: what is accepted is sound, survives encoding, and
// can be described and evaluated.
#include "runtime/core/ExprTable.h"
#include "runtime/executor/Description.h"
#include "runtime/format/ManifestCodec.h"

#include <cstdint>
#include <cstdlib>

using namespace rtorch;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  format::Manifest manifest;
  if (format::decode(std::as_bytes(std::span(data, size)), manifest))
    return 0;
  if (format::validate(manifest))
    std::abort();
  format::Manifest again;
  if (format::decode(format::encode(manifest), again))
    std::abort();
  (void)executor::describe(manifest, {&manifest, 1});
  for (bool largest : {false, true}) {
    std::vector<int64_t> symbols, values(manifest.exprs.size());
    for (const format::Symbol &symbol : manifest.symbols)
      symbols.push_back(largest ? symbol.max : symbol.min);
    (void)core::evaluate(manifest, symbols, values);
  }
  return 0;
}
