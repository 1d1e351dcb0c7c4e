// Changes of dtype and memory format: which of them copy (eager's rules for aliasing).
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

/// The strides that a copy of `x` gets in the format; None is preserve.
Dims stridesIn(Call &c, Value x, std::optional<importer::MemoryFormat> format) {
  switch (format.value_or(importer::MemoryFormat::Preserve)) {
  case importer::MemoryFormat::Contiguous:
    return layout::contiguousStrides(sizesOf(x));
  case importer::MemoryFormat::ChannelsLast:
    return layout::stridesOf(layout::MemoryFormat::ChannelsLast, sizesOf(x));
  case importer::MemoryFormat::ChannelsLast3d:
    return layout::stridesOf(layout::MemoryFormat::ChannelsLast3d, sizesOf(x));
  default:
    return layout::preserveStrides(layoutOf(x), c.guards);
  }
}

std::optional<layout::MemoryFormat>
layoutFormat(std::optional<importer::MemoryFormat> format) {
  switch (format.value_or(importer::MemoryFormat::Preserve)) {
  case importer::MemoryFormat::Contiguous:
    return layout::MemoryFormat::Contiguous;
  case importer::MemoryFormat::ChannelsLast:
    return layout::MemoryFormat::ChannelsLast;
  case importer::MemoryFormat::ChannelsLast3d:
    return layout::MemoryFormat::ChannelsLast3d;
  default:
    return std::nullopt;
  }
}

/// A copy in another dtype and format, always with memory of its own.
Value copyTo(Call &c, Value x, ScalarType dtype) {
  if (!x)
    return x;
  Dims strides = stridesIn(c, x, c.memoryFormat("memory_format"));
  if (dtypeOf(x) == dtype)
    return c.clone(x, strides);
  return c.withStrides(c.convert(x, dtype), strides);
}

/// `to`: the tensor itself where nothing changes and no copy is asked for.
Value convertTo(Call &c, Value x, ScalarType dtype) {
  if (!x)
    return x;
  std::optional<layout::MemoryFormat> format =
      layoutFormat(c.memoryFormat("memory_format"));
  bool sameFormat =
      !format || layout::suggestMemoryFormat(layoutOf(x), c.guards) == *format;
  if (dtypeOf(x) == dtype && sameFormat && !c.boolean("copy"))
    return x;
  return copyTo(c, x, dtype);
}

Value to(Call &c) {
  Value x = c.tensor("self");
  return x ? convertTo(c, x, c.dtype("dtype").value_or(dtypeOf(x))) : x;
}

Value toOther(Call &c) {
  Value x = c.tensor("self"), other = c.tensor("other");
  return x && other ? convertTo(c, x, dtypeOf(other)) : Value();
}

Value toCopy(Call &c) {
  Value x = c.tensor("self");
  return x ? copyTo(c, x, c.dtype("dtype").value_or(dtypeOf(x))) : x;
}

Value clone(Call &c) {
  Value x = c.tensor("self");
  return x ? copyTo(c, x, dtypeOf(x)) : x;
}

Value contiguous(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  auto format = layoutFormat(c.memoryFormat("memory_format"))
                    .value_or(layout::MemoryFormat::Contiguous);
  // Where a size of 1 would tell, a copy is right for all sizes, and needs no check.
  layout::Guards trial = c.guards;
  if (layout::isContiguous(layoutOf(x), format, trial) &&
      trial.recorded().size() == c.guards.recorded().size())
    return x;
  return c.clone(x, layout::stridesOf(format, sizesOf(x)));
}

/// The value of `src` broadcast to self's sizes in self's dtype (functional copy_).
Value copy(Call &c) {
  Value x = c.tensor("self"), source = c.tensor("src");
  if (!x || !source)
    return {};
  Value value = c.expand(c.convert(source, dtypeOf(x)), sizesOf(x));
  bool isNew = dtypeOf(source) != dtypeOf(x);
  return isNew ? c.withStrides(value, c.stridesOfTwin(x))
               : c.clone(value, c.stridesOfTwin(x));
}

Value convertElementType(Call &c) {
  Value x = c.tensor("a");
  return x ? c.convert(x, c.dtype("dtype").value_or(dtypeOf(x))) : x;
}

/// Only the device, layout and dtype that the dialect has.
std::string refuseDevice(const importer::Graph &, const importer::Node &node) {
  const importer::Argument *device = node.find("device");
  if (auto *value = device ? std::get_if<importer::Device>(device) : nullptr)
    if (value->type != "cpu")
      return "device '" + value->type + "' is not supported; move the model to the CPU";
  const importer::Argument *layout = node.find("layout");
  if (auto *value = layout ? std::get_if<importer::LayoutKind>(layout) : nullptr)
    if (*value != importer::LayoutKind::Strided)
      return "sparse layouts are not supported";
  return {};
}

} // namespace

void addConversionRules(RuleTable &table) {
  for (llvm::StringRef op : {"aten.to.dtype", "aten.to.dtype_layout", "aten.to.device",
                             "aten.to.prim_Device", "aten.to.prim_dtype"}) {
    addRule(table, {op}, to);
    table[op].refuse = refuseDevice;
  }
  addRule(table, {"aten.to.other", "aten.type_as.default"}, toOther);
  addRule(table, {"aten._to_copy.default"}, toCopy);
  table["aten._to_copy.default"].refuse = refuseDevice;
  addRule(table,
          {"aten.clone.default", "aten.lift_fresh_copy.default", "aten.lift.default"},
          clone);
  addRule(table, {"aten.lift_fresh.default"}, [](Call &c) { return c.tensor("self"); });
  addRule(table, {"aten.contiguous.default"}, contiguous);
  addRule(table, {"aten.copy.default"}, copy);
  addRule(table, {"prims.convert_element_type.default"}, convertElementType);
}

} // namespace rtorch::translate
