// The fields of every structure of the manifest, in the order of the file. Encoder and
// decoder both walk these lists, so they cannot disagree.
#pragma once

#include "runtime/format/Manifest.h"

#include <concepts>
#include <type_traits>

namespace rtorch::format {

template <typename T, typename U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

/// Number of enumerators of each enumeration that is stored as a byte.
template <typename E> inline constexpr uint8_t kEnumerators = 0;
template <> inline constexpr uint8_t kEnumerators<DType> = 10;
template <> inline constexpr uint8_t kEnumerators<ExprOp> = 9;
template <> inline constexpr uint8_t kEnumerators<StorageKind> = 5;
template <> inline constexpr uint8_t kEnumerators<ConstantValue::Kind> = 5;
template <> inline constexpr uint8_t kEnumerators<Argument::Kind> = 3;
template <> inline constexpr uint8_t kEnumerators<Result::Kind> = 4;
template <> inline constexpr uint8_t kEnumerators<Constant::Kind> = 4;
template <> inline constexpr uint8_t kEnumerators<Check::Relation> = 4;
template <> inline constexpr uint8_t kEnumerators<Step::Kind> = 3;

void fields(auto &io, Is<ExprNode> auto &x) { io(x.op, x.a, x.b); }
void fields(auto &io, Is<Symbol> auto &x) {
  io(x.name, x.min, x.max, x.argument, x.dim, x.step, x.offset);
}
void fields(auto &io, Is<Storage> auto &x) { io(x.kind, x.index, x.offset, x.bytes); }
void fields(auto &io, Is<TensorSpec> auto &x) { io(x.dtype, x.sizes, x.strides); }
void fields(auto &io, Is<ConstantValue> auto &x) {
  io(x.kind, x.integer, x.real, x.string);
}
void fields(auto &io, Is<Argument> auto &x) {
  io(x.kind, x.name, x.tensor, x.value, x.constant, x.alignment, x.mutated, x.needed_by,
     x.source);
}
void fields(auto &io, Is<Result> auto &x) {
  io(x.kind, x.name, x.tensor, x.storage, x.byte_offset, x.value, x.constant);
}
void fields(auto &io, Is<Packing> auto &x) {
  io(x.element_bytes, x.columns, x.k, x.n, x.offset, x.row_stride, x.column_stride);
}
void fields(auto &io, Is<Constant> auto &x) {
  io(x.name, x.kind, x.offset, x.bytes, x.source, x.packing);
}
void fields(auto &io, Is<Weight> auto &x) {
  io(x.name, x.tensor, x.byte_offset, x.constant);
}
void fields(auto &io, Is<State> auto &x) {
  io(x.name, x.tensor, x.byte_offset, x.initial);
}
void fields(auto &io, Is<Check> auto &x) {
  io(x.relation, x.lhs, x.rhs, x.message, x.source);
}
void fields(auto &io, Is<Kernel> auto &x) { io(x.name, x.symbol); }
void fields(auto &io, Is<Operand> auto &x) { io(x.storage, x.byte_offset); }
void fields(auto &io, Is<ErrorSite> auto &x) { io(x.message, x.node, x.source); }
void fields(auto &io, Is<Launch> auto &x) {
  io(x.kernel, x.name, x.source, x.operands, x.values, x.grid, x.scratch_bytes,
     x.errors);
}
void fields(auto &io, Is<Step> auto &x) {
  io(x.kind, x.index, x.body, x.otherwise, x.trips, x.condition);
}
void fields(auto &io, Is<Manifest> auto &x) {
  io(x.model, x.producer, x.triple, x.cpu, x.features, x.symbols, x.exprs, x.storages,
     x.arguments, x.results, x.constants, x.weights, x.states, x.checks, x.kernels,
     x.init, x.schedule, x.steps, x.loops, x.arena_bytes);
}

} // namespace rtorch::format
