#include "compiler/emit/Locations.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace rtorch::emit {

static std::string sourceOf(Location loc) {
  if (auto file = dyn_cast<FileLineColLoc>(loc))
    return file.getFilename().str() + ":" + std::to_string(file.getLine());
  return {};
}

NodeLocation describe(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return {name.getName().str(), sourceOf(name.getChildLoc())};
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (NodeLocation described = describe(part); !described.node.empty())
        return described;
  return {{}, sourceOf(loc)};
}

std::string joinNodes(Location loc) {
  llvm::SmallSetVector<StringRef, 8> names;
  loc->walk([&](Location part) {
    if (auto name = dyn_cast<NameLoc>(part))
      names.insert(name.getName().getValue());
    return WalkResult::advance();
  });
  // Long fusions are named by their ends.
  if (names.size() > 4)
    return names.front().str() + "+...+" + names.back().str();
  std::string text;
  for (StringRef name : names)
    text += (text.empty() ? "" : "+") + name.str();
  return text;
}

} // namespace rtorch::emit
