#include "compiler/codegen/gemm/Packing.h"

using namespace mlir;

namespace rtorch::gemm {
namespace {

/// Packing of the left operand into one panel.
struct LeftPanel {
  Emitter &e;
  Type type;
  const MatrixSource &source;
  Range depth;
  bool wholeGroups;
  Value row;    ///< first row
  Value height; ///< rows
  Value packed; ///< the panel

  /// Where row `i`'s group that begins at step `k` (a multiple of depthGroup) lies.
  Value groupAddress(Value i, Value k) {
    Value index = e.add(e.mul(k, height), e.mul(i, depthGroup));
    return e.address(type, packed, index);
  }

  Value loadRow(Value i, Value k, int64_t width, Value mask) {
    return source.alongRow(e.b, e.loc, e.add(row, i), e.add(depth.start, k), width,
                           mask);
  }

  /// Rows are read in vectors of `width`, then in groups.
  void packRows(int64_t width) {
    Value whole = e.roundDown(depth.length, width);
    e.loop(height, [&](Value i) {
      e.loop(e.constant(0), whole, width, [&](Value k) {
        Value vector = loadRow(i, k, width, Value());
        for (int64_t part = 0; part < width; part += depthGroup)
          e.store(e.slice(vector, part, depthGroup), groupAddress(i, e.add(k, part)));
      });
      e.loop(whole, depth.length, depthGroup, [&](Value k) {
        Value mask =
            wholeGroups ? Value() : e.laneMask(depthGroup, e.sub(depth.length, k));
        e.store(loadRow(i, k, depthGroup, mask), groupAddress(i, k));
      });
    });
  }

  /// Columns are read in vectors of `width` rows, a group of columns at a time.
  void packColumns(int64_t width) {
    Value whole = e.roundDown(depth.length, depthGroup);
    e.loop(e.constant(0), whole, depthGroup,
           [&](Value k) { packGroup(k, width, /*partial=*/false); });
    if (!wholeGroups)
      e.loop(whole, depth.length, depthGroup,
             [&](Value k) { packGroup(k, width, /*partial=*/true); });
  }

  void packGroup(Value k, int64_t width, bool partial) {
    e.loop(e.constant(0), height, width, [&](Value i) {
      Value rows = e.sub(height, i);
      SmallVector<Value> columns;
      for (int64_t step = 0; step < depthGroup; ++step) {
        Value column = e.add(k, step);
        Value count = rows;
        if (partial)
          count = e.select(e.less(column, depth.length), rows, e.constant(0));
        columns.push_back(source.alongColumn(e.b, e.loc, e.add(row, i),
                                             e.add(depth.start, column), width,
                                             e.laneMask(width, count)));
      }
      // Rows past the panel's last one land where later stores go.
      e.store(interleave(interleave(columns[0], columns[2]),
                         interleave(columns[1], columns[3])),
              groupAddress(i, k));
    });
  }

  Value interleave(Value x, Value y) {
    int64_t width = cast<VectorType>(x.getType()).getDimSize(0);
    SmallVector<int64_t> lanes;
    for (int64_t i = 0; i < width; ++i)
      lanes.append({i, width + i});
    return e.shuffle(x, y, lanes);
  }
};

/// Packing of the right operand.
struct RightPanels {
  Emitter &e;
  Type type;
  const RegisterTile &tile;
  const MatrixSource &source;
  Range depth, columns;
  Value packed;
  VectorType vector;
  Value paddedDepth;

  /// Row `k` of the panel that begins with column `column`.
  Value rowAddress(Value column, Value k) {
    Value index = e.add(e.mul(column, paddedDepth), e.mul(k, tile.columns()));
    return e.address(type, packed, index);
  }

  /// Reads along the rows of the source. Whole rows in the outer loop: the source is
  /// read in long runs.
  void packRows() {
    Value whole = e.roundDown(columns.length, tile.columns());
    Value rest = e.sub(columns.length, whole);
    e.loop(depth.length, [&](Value k) {
      e.loop(e.constant(0), whole, tile.columns(),
             [&](Value column) { copyRow(k, column, Value()); });
      e.branch(e.less(e.constant(0), rest), [&] { copyRow(k, whole, rest); });
    });
    e.loop(depth.length, paddedDepth, 1, [&](Value k) {
      e.loop(e.constant(0), columns.length, tile.columns(), [&](Value column) {
        for (int64_t v = 0; v < tile.vectors; ++v)
          e.store(e.zero(vector),
                  e.address(type, rowAddress(column, k), v * tile.lanes));
      });
    });
  }

  /// One row of one panel; `count` columns, or all where it is null.
  void copyRow(Value k, Value column, Value count) {
    Value row = e.add(depth.start, k);
    Value to = rowAddress(column, k);
    for (int64_t v = 0; v < tile.vectors; ++v) {
      Value first = e.add(columns.start, e.add(column, v * tile.lanes));
      Value mask;
      if (count)
        mask = e.laneMask(tile.lanes, e.sub(count, e.constant(v * tile.lanes)));
      Value values = source.alongRow(e.b, e.loc, row, first, tile.lanes, mask);
      e.store(values, e.address(type, to, v * tile.lanes));
    }
  }

  /// Reads along the columns of the source and transposes squares.
  void packColumns() {
    // One copy of the transposition, masked unless the depth is known to fit: masked
    // loads cost little, compiling a second copy does.
    std::optional<int64_t> fixed = constantOf(depth.length);
    bool whole = fixed && *fixed % tile.lanes == 0;
    e.loop(e.constant(0), columns.length, tile.columns(), [&](Value column) {
      e.loop(e.constant(0), paddedDepth, tile.lanes, [&](Value k) {
        Value left = e.sub(depth.length, k);
        transposePanel(column, k, whole ? Value() : e.laneMask(tile.lanes, left));
      });
    });
  }

  void transposePanel(Value column, Value k, Value mask) {
    e.loop(e.constant(0), e.constant(tile.columns()), tile.lanes,
           [&](Value part) { transposeBlock(column, part, k, mask); });
  }

  /// `lanes` columns from `column` + `part` on, `lanes` steps from `k` on. Columns past
  /// the last one are read as the last one; rows past the depth become 0.
  void transposeBlock(Value column, Value part, Value k, Value mask) {
    Value last = e.sub(columns.length, e.constant(1));
    SmallVector<Value> rows;
    for (int64_t i = 0; i < tile.lanes; ++i) {
      Value index = e.min(e.add(e.add(column, part), i), last);
      rows.push_back(source.alongColumn(e.b, e.loc, e.add(depth.start, k),
                                        e.add(columns.start, index), tile.lanes, mask));
    }
    rows = transposeSquare(e, rows);
    Value to = e.address(type, rowAddress(column, k), part);
    for (int64_t group = 0; group < tile.lanes; group += depthGroup) {
      auto store = [&] {
        for (int64_t i = group; i < std::min(group + depthGroup, tile.lanes); ++i)
          e.store(rows[i], e.address(type, to, i * tile.columns()));
      };
      if (mask)
        e.branch(e.less(e.add(k, group), paddedDepth), store);
      else
        store();
    }
  }
};

/// Applies `lanes(block, width)`, which picks from two concatenated vectors in units of
/// `unit` lanes, to x and y.
Value pickUnits(Emitter &e, Value x, Value y, int64_t unit, ArrayRef<int64_t> units) {
  SmallVector<int64_t> lanes;
  for (int64_t index : units)
    for (int64_t i = 0; i < unit; ++i)
      lanes.push_back(index * unit + i);
  return e.shuffle(x, y, lanes);
}

/// Units 0, 2, 4, ... (or 1, 3, 5, ...) of x followed by those of y.
Value everyOther(Emitter &e, Value x, Value y, int64_t unit, int64_t first) {
  int64_t count = 2 * cast<VectorType>(x.getType()).getDimSize(0) / unit;
  SmallVector<int64_t> units;
  for (int64_t i = first; i < count; i += 2)
    units.push_back(i);
  return pickUnits(e, x, y, unit, units);
}

/// Transposes a square of units: row i's unit j goes to row j's unit i.
SmallVector<Value> transposeUnits(Emitter &e, ArrayRef<Value> rows, int64_t unit) {
  if (rows.size() == 1)
    return {rows[0]};
  SmallVector<Value> even, odd;
  for (size_t i = 0; i < rows.size(); i += 2) {
    even.push_back(everyOther(e, rows[i], rows[i + 1], unit, 0));
    odd.push_back(everyOther(e, rows[i], rows[i + 1], unit, 1));
  }
  SmallVector<Value> first = transposeUnits(e, even, unit);
  SmallVector<Value> second = transposeUnits(e, odd, unit);
  SmallVector<Value> result;
  for (size_t i = 0; i < first.size(); ++i)
    result.append({first[i], second[i]});
  return result;
}

/// Interleaves the low (or high) halves of each block of `block` units: what x86 calls
/// unpack.
Value unpack(Emitter &e, Value x, Value y, int64_t unit, int64_t block, bool high) {
  int64_t count = cast<VectorType>(x.getType()).getDimSize(0) / unit;
  SmallVector<int64_t> units;
  for (int64_t start = 0; start < count; start += block)
    for (int64_t i = 0; i < block / 2; ++i) {
      int64_t from = start + i + (high ? block / 2 : 0);
      units.append({from, count + from});
    }
  return pickUnits(e, x, y, unit, units);
}

/// Transposes the squares of 16 bytes a side within groups of rows, in place: row i of
/// the result holds column i of each square of the group.
void transposeWithinLanes(Emitter &e, MutableArrayRef<Value> rows) {
  if (rows.size() == 2) { // f64
    Value x = rows[0], y = rows[1];
    rows[0] = unpack(e, x, y, 1, 2, false);
    rows[1] = unpack(e, x, y, 1, 2, true);
    return;
  }
  Value a = unpack(e, rows[0], rows[1], 1, 4, false);
  Value b = unpack(e, rows[0], rows[1], 1, 4, true);
  Value c = unpack(e, rows[2], rows[3], 1, 4, false);
  Value d = unpack(e, rows[2], rows[3], 1, 4, true);
  rows[0] = unpack(e, a, c, 2, 2, false);
  rows[1] = unpack(e, a, c, 2, 2, true);
  rows[2] = unpack(e, b, d, 2, 2, false);
  rows[3] = unpack(e, b, d, 2, 2, true);
}

} // namespace

SmallVector<Value> transposeSquare(Emitter &e, ArrayRef<Value> rows) {
  // First within 16 bytes, then whole units of 16 bytes: every shuffle is a single
  // instruction of its kind, where general permutes would need index vectors.
  Type type = cast<VectorType>(rows[0].getType()).getElementType();
  const size_t unit = 128 / type.getIntOrFloatBitWidth();
  SmallVector<Value> current(rows);
  for (size_t i = 0; i < rows.size(); i += unit)
    transposeWithinLanes(e, MutableArrayRef<Value>(current).slice(i, unit));
  SmallVector<Value> result(rows.size());
  for (size_t offset = 0; offset < unit; ++offset) {
    SmallVector<Value> units;
    for (size_t i = offset; i < rows.size(); i += unit)
      units.push_back(current[i]);
    units = transposeUnits(e, units, unit);
    for (size_t i = 0; i < units.size(); ++i)
      result[i * unit + offset] = units[i];
  }
  return result;
}

void packLeft(Emitter &e, Type type, const RegisterTile &tile,
              const MatrixSource &source, Value row, const RowPanels &panels,
              const Range &depth, bool wholeGroups, Value packed) {
  Value padded = e.roundUp(depth.length, depthGroup);
  e.loop(panels.count, [&](Value p) {
    Value start = panels.start(e, p);
    LeftPanel panel{e,
                    type,
                    source,
                    depth,
                    wholeGroups,
                    e.add(row, start),
                    panels.heightOf(e, p),
                    e.address(type, packed, e.mul(start, padded))};
    if (source.loadsAlongColumns())
      panel.packColumns(depthGroup);
    else
      panel.packRows(std::max(tile.lanes, depthGroup));
  });
}

void packRight(Emitter &e, Type type, const RegisterTile &tile,
               const MatrixSource &source, const Range &depth, const Range &columns,
               Value packed) {
  RightPanels panels{e,
                     type,
                     tile,
                     source,
                     depth,
                     columns,
                     packed,
                     VectorType::get(tile.lanes, type),
                     e.roundUp(depth.length, depthGroup)};
  if (source.loadsAlongColumns())
    panels.packColumns();
  else
    panels.packRows();
}

} // namespace rtorch::gemm
