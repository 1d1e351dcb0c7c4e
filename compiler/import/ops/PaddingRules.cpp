// Padding of every kind, and what rearranges a padded or tiled image.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

Value inFormatOf(Call &c, Value result, Value x) {
  if (!result)
    return result;
  layout::MemoryFormat format = layout::suggestMemoryFormat(layoutOf(x), c.guards);
  return c.withStrides(result, layout::stridesOf(format, sizesOf(result)));
}

/// How many elements stand before and after each dim.
struct Pads {
  Dims low, high;
};

/// The pairs of a `pad` argument, which begins with the last dim; nullopt after an
/// error.
std::optional<Pads> padsOf(Call &c, Value x, std::string_view name) {
  Dims list = c.exprs(name);
  Pads pads{Dims(rankOf(x), 0), Dims(rankOf(x), 0)};
  if (list.size() % 2 || static_cast<int64_t>(list.size()) > 2 * rankOf(x)) {
    c.error() << "expects at most " << rankOf(x) << " pairs of pads, but got "
              << list.size() << " numbers";
    return std::nullopt;
  }
  for (size_t i = 0; i + 1 < list.size(); i += 2) {
    size_t dim = rankOf(x) - 1 - i / 2;
    pads.low[dim] = list[i];
    pads.high[dim] = list[i + 1];
  }
  return pads;
}

Value constantPad(Call &c, Value x, const Pads &pads, const Scalar &value) {
  Value source = x;
  Dims low = pads.low, sizes = sizesOf(x);
  bool grows = false;
  for (int64_t dim = 0; dim < rankOf(x); ++dim) {
    Expr before = pads.low[dim], after = pads.high[dim], size = sizes[dim];
    bool cutsBefore = c.guards.lessEqual(before, 0);
    bool cutsAfter = c.guards.lessEqual(after, 0);
    if (cutsBefore && cutsAfter) { // a view
      if (!before.isConstant(0) || !after.isConstant(0))
        x = c.slice(x, dim, -before, size + after);
      low[dim] = 0;
      sizes[dim] = sizeOf(x, dim);
      continue;
    }
    grows = true;
    sizes[dim] = c.guards.simplify(size + before + after);
  }
  if (!grows)
    return x ? c.clone(x, layout::preserveStrides(layoutOf(x), c.guards)) : x;
  return inFormatOf(c, c.pad(x, low, sizes, value), source);
}

//===----------------------------------------------------------------------===//
// Padding with the tensor's own elements
//===----------------------------------------------------------------------===//

enum class Mode { Reflect, Replicate, Circular };

/// For each place along a padded dim, the place in the tensor that it repeats.
Value sourcePlaces(Call &c, const Expr &size, const Expr &low, const Expr &high,
                   Mode mode) {
  auto number = [&](const Expr &value) {
    return c.full(Scalar::of(value), ScalarType::Long);
  };
  Value at = c.iota(c.guards.simplify(size + low + high), ScalarType::Long, -low);
  Value zero = number(0), last = number(size - 1);
  if (mode == Mode::Replicate)
    return c.binary<rt::MinimumOp>(c.binary<rt::MaximumOp>(at, zero), last);
  if (mode == Mode::Circular)
    return c.binary<rt::RemainderOp>(at, number(size));
  // last - | last - |at| |
  Value folded = c.binary<rt::SubOp>(last, c.unary<rt::AbsOp>(at));
  return c.binary<rt::SubOp>(last, c.unary<rt::AbsOp>(folded));
}

/// A pad may not reach farther than the tensor has elements to repeat.
bool fitsMode(Call &c, const Expr &size, const Expr &pad, Mode mode) {
  if (mode == Mode::Replicate)
    return c.guards.less(0, size);
  bool fits =
      mode == Mode::Reflect ? c.guards.less(pad, size) : c.guards.lessEqual(pad, size);
  if (!fits)
    c.error() << "a pad of " << pad.str() << " is too large for a dim of size "
              << size.str();
  return fits;
}

Value repeatingPad(Call &c, Value x, const Pads &pads, Mode mode) {
  Value result = x;
  for (int64_t dim = 0; dim < rankOf(x) && result; ++dim) {
    Expr low = pads.low[dim], high = pads.high[dim];
    if (low.isConstant(0) && high.isConstant(0))
      continue;
    Expr size = sizeOf(x, dim);
    if (!fitsMode(c, size, low, mode) || !fitsMode(c, size, high, mode))
      return {};
    Value places = sourcePlaces(c, size, low, high, mode);
    result = c.indexSelect(result, places, dim);
  }
  if (!result)
    return result;
  if (mode == Mode::Circular || rankOf(x) != 4)
    return c.withStrides(result == x ? c.cloneRowMajor(x) : result,
                         layout::contiguousStrides(sizesOf(result)));
  return inFormatOf(c, result == x ? c.cloneRowMajor(x) : result, x);
}

Value padWith(Call &c, std::string_view name, Mode mode) {
  Value x = c.tensor("self");
  std::optional<Pads> pads = x ? padsOf(c, x, name) : std::nullopt;
  return pads ? repeatingPad(c, x, *pads, mode) : Value();
}

/// Each element collects the gradients of the places that repeat it.
Value repeatingPadBackward(Call &c, Mode mode) {
  Value x = c.tensor("self"), g = widened(c, c.tensor("grad_output"));
  std::optional<Pads> pads = x ? padsOf(c, x, "padding") : std::nullopt;
  if (!pads || !g)
    return {};
  for (int64_t dim = 0; dim < rankOf(x) && g; ++dim) {
    Expr low = pads->low[dim], high = pads->high[dim], size = sizeOf(x, dim);
    if (low.isConstant(0) && high.isConstant(0))
      continue;
    if (!fitsMode(c, size, low, mode) || !fitsMode(c, size, high, mode))
      return {};
    g = addAlong(c, g, sourcePlaces(c, size, low, high, mode), dim, size);
  }
  g = c.convert(g, dtypeOf(x));
  if (!g || rankOf(x) != 4)
    return g ? c.withStrides(g, layout::contiguousStrides(sizesOf(g))) : g;
  return inFormatOf(c, g, x);
}

Value pad(Call &c) {
  Value x = c.tensor("self");
  std::optional<Pads> pads = x ? padsOf(c, x, "pad") : std::nullopt;
  if (!pads)
    return {};
  std::string_view mode = c.string("mode");
  if (mode == "reflect")
    return repeatingPad(c, x, *pads, Mode::Reflect);
  if (mode == "replicate")
    return repeatingPad(c, x, *pads, Mode::Replicate);
  if (mode == "circular")
    return repeatingPad(c, x, *pads, Mode::Circular);
  return constantPad(c, x, *pads, c.scalar("value").value_or(Scalar::of(int64_t(0))));
}

//===----------------------------------------------------------------------===//
// Pixels to channels and back
//===----------------------------------------------------------------------===//

/// [..., C r r, H, W] to [..., C, H r, W r]
Value pixelShuffle(Call &c) {
  Value x = c.tensor("self");
  if (!x || rankOf(x) < 3)
    return {};
  Expr r = *c.integer("upscale_factor");
  Dims sizes = sizesOf(x), split(sizes.begin(), sizes.end() - 3);
  Dims result = split;
  size_t n = sizes.size();
  Expr channels = layout::floordiv(sizes[n - 3], r * r);
  split.insert(split.end(), {channels, r, r, sizes[n - 2], sizes[n - 1]});
  result.insert(result.end(), {channels, sizes[n - 2] * r, sizes[n - 1] * r});
  std::vector<int64_t> order = allDims(split.size());
  int64_t at = n - 3; // C, r, r, H, W to C, H, r, W, r
  order[at + 1] = at + 3, order[at + 2] = at + 1, order[at + 3] = at + 4,
             order[at + 4] = at + 2;
  Value moved = c.permute(c.reshape(x, split), order);
  return inFormatOf(c, c.reshape(c.cloneRowMajor(moved), result), x);
}

/// [..., C, H r, W r] to [..., C r r, H, W]
Value pixelUnshuffle(Call &c) {
  Value x = c.tensor("self");
  if (!x || rankOf(x) < 3)
    return {};
  Expr r = *c.integer("downscale_factor");
  Dims sizes = sizesOf(x), split(sizes.begin(), sizes.end() - 3);
  Dims result = split;
  size_t n = sizes.size();
  Expr height = layout::floordiv(sizes[n - 2], r),
       width = layout::floordiv(sizes[n - 1], r);
  split.insert(split.end(), {sizes[n - 3], height, r, width, r});
  result.insert(result.end(), {sizes[n - 3] * r * r, height, width});
  std::vector<int64_t> order = allDims(split.size());
  int64_t at = n - 3; // C, H, r, W, r to C, r, r, H, W
  order[at + 1] = at + 2, order[at + 2] = at + 4, order[at + 3] = at + 1,
             order[at + 4] = at + 3;
  Value moved = c.permute(c.reshape(x, split), order);
  return inFormatOf(c, c.reshape(c.cloneRowMajor(moved), result), x);
}

/// Channels dealt out to groups: [N, g, C / g, ...] with the two swapped.
Value channelShuffle(Call &c) {
  Value x = c.tensor("self");
  if (!x || rankOf(x) < 3)
    return {};
  Expr groups = *c.integer("groups");
  Dims sizes = sizesOf(x), split = sizes;
  split[1] = layout::floordiv(sizes[1], groups);
  split.insert(split.begin() + 1, groups);
  Value moved = c.cloneRowMajor(c.transpose(c.reshape(x, split), 1, 2));
  return inFormatOf(c, c.reshape(moved, sizes), x);
}

//===----------------------------------------------------------------------===//
// unfold and fold
//===----------------------------------------------------------------------===//

struct Blocks {
  std::vector<int64_t> size, dilation, padding, step;
  Dims counts;
};

Blocks blocksOf(Call &c, const Expr &height, const Expr &width) {
  Blocks b;
  auto two = [&](std::string_view name) {
    std::vector<int64_t> values = c.integers(name);
    values.resize(2, values.empty() ? 1 : values.front());
    return values;
  };
  b.size = two("kernel_size"), b.dilation = two("dilation");
  b.padding = two("padding"), b.step = two("stride");
  Expr sizes[] = {height, width};
  for (int i = 0; i < 2; ++i)
    b.counts.push_back(
        c.guards.simplify(layout::floordiv(sizes[i] + 2 * b.padding[i] -
                                               b.dilation[i] * (b.size[i] - 1) - 1,
                                           b.step[i]) +
                          1));
  return b;
}

/// [N, C, H, W] to [N, C kh kw, blocks]
Value imageToColumns(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  bool batched = rankOf(x) == 4;
  if (!batched)
    x = c.unsqueeze(x, 0);
  Dims sizes = sizesOf(x);
  Blocks b = blocksOf(c, sizes[2], sizes[3]);
  Dims padded = {sizes[0], sizes[1], sizes[2] + 2 * b.padding[0],
                 sizes[3] + 2 * b.padding[1]};
  Value blocks =
      c.pad(x, {0, 0, b.padding[0], b.padding[1]}, padded, Scalar::of(int64_t(0)));
  for (int64_t i = 0; i < 2; ++i)
    blocks = c.unfold(blocks, 2 + i, b.size[i], b.step[i], b.dilation[i]);
  blocks = c.cloneRowMajor(c.permute(blocks, {0, 1, 4, 5, 2, 3}));
  Value result = c.view(
      blocks, {sizes[0], sizes[1] * b.size[0] * b.size[1], b.counts[0] * b.counts[1]});
  return batched ? result : c.squeeze(result, {0});
}

/// The inverse, with overlapping blocks added up.
Value columnsToImage(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  bool batched = rankOf(x) == 3;
  if (!batched)
    x = c.unsqueeze(x, 0);
  Dims image = c.exprs("output_size");
  Blocks b = blocksOf(c, image[0], image[1]);
  Expr batch = sizeOf(x, 0);
  Expr channels = layout::floordiv(sizeOf(x, 1), b.size[0] * b.size[1]);
  Value blocks =
      c.reshape(x, {batch, channels, b.size[0], b.size[1], b.counts[0], b.counts[1]});
  // The pixel of each element: [kh, 1, oh, 1] and [kw, 1, ow].
  std::vector<Value> pixels;
  for (int64_t i = 0; i < 2; ++i) {
    Value start = c.iota(b.counts[i], ScalarType::Long, 0, b.step[i]);
    Value offset = c.iota(b.size[i], ScalarType::Long, 0, b.dilation[i]);
    offset = c.unsqueeze(c.unsqueeze(offset, 1), 1);
    if (i == 0)
      start = c.unsqueeze(start, 1), offset = c.unsqueeze(offset, 1);
    pixels.push_back(c.binary<rt::AddOp>(offset, start));
  }
  Dims padded = {batch, channels, image[0] + 2 * b.padding[0],
                 image[1] + 2 * b.padding[1]};
  Value zero = c.full(Scalar::of(int64_t(0)), dtypeOf(x), padded);
  Value result = c.scatter(zero, pixels, blocks, {2, 3}, 2, false, "add");
  for (int64_t i = 0; i < 2; ++i)
    if (b.padding[i])
      result = c.slice(result, 2 + i, b.padding[i], image[i] + b.padding[i]);
  result = result ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
                  : result;
  return batched ? result : c.squeeze(result, {0});
}

} // namespace

void addPaddingRules(RuleTable &table) {
  addRule(table, {"aten.pad.default", "aten.constant_pad_nd.default"}, pad);
  addRule(table,
          {"aten.reflection_pad1d.default", "aten.reflection_pad2d.default",
           "aten.reflection_pad3d.default"},
          [](Call &c) { return padWith(c, "padding", Mode::Reflect); });
  addRule(table,
          {"aten.replication_pad1d.default", "aten.replication_pad2d.default",
           "aten.replication_pad3d.default"},
          [](Call &c) { return padWith(c, "padding", Mode::Replicate); });
  for (int64_t spatial = 1; spatial <= 3; ++spatial) {
    std::string suffix = "_pad" + std::to_string(spatial) + "d_backward.default";
    addRule(table, {"aten.reflection" + suffix},
            [](Call &c) { return repeatingPadBackward(c, Mode::Reflect); });
    addRule(table, {"aten.replication" + suffix},
            [](Call &c) { return repeatingPadBackward(c, Mode::Replicate); });
  }
  addRule(table, {"aten._pad_circular.default"},
          [](Call &c) { return padWith(c, "pad", Mode::Circular); });
  addRule(table, {"aten.pixel_shuffle.default"}, pixelShuffle);
  addRule(table, {"aten.pixel_unshuffle.default"}, pixelUnshuffle);
  addRule(table,
          {"aten.channel_shuffle.default", "aten.native_channel_shuffle.default"},
          channelShuffle);
  addRule(table, {"aten.im2col.default"}, imageToColumns);
  addRule(table, {"aten.col2im.default"}, columnsToImage);
}

} // namespace rtorch::translate
