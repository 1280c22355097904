// Rows times a packed matrix by squares of two rows and two outputs, for product.cpp.
#pragma once

#include <type_traits>

#include "product.hpp"

#ifdef CSM_SQUARES

namespace csm {

// Rows that go through a panel together: as many as the registers hold sums of.
constexpr int rows_of_squares = 6;

// R rows times a panel. Behind an odd last row stands the same again: computed, and not stored.
template <class Kind, int R, class Store>
void squares_of(const Matrix& m, const Inputs& in, int row, int panel, const Store& store) {
  constexpr int T = (R + 1) / 2;
  constexpr bool in_pairs = std::is_same_v<typename Kind::Sum, simd::F32>;
  constexpr size_t value_bytes = in_pairs ? sizeof(bf16) : sizeof(int8_t);
  using Four = decltype(simd::four_zeros(typename Kind::Sum{}));
  simd::Squares<Four> sums[T];
  const uint8_t* first[T];
  const uint8_t* second[T];
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) sums[t].part[i] = simd::four_zeros(typename Kind::Sum{});
    first[t] = in.bytes + (row + 2 * t) * in.stride * value_bytes;
    second[t] = 2 * t + 1 < R ? first[t] + in.stride * value_bytes : first[t];
  }
  const uint8_t* from = m.weights.data() + panel * m.panel_bytes();
  for (int step = 0; step < m.steps; step += 2, from += 2 * step_bytes) {
    __builtin_prefetch(from + ahead_bytes, 0, 2);
    __builtin_prefetch(from + ahead_bytes + step_bytes, 0, 2);
    uint32x4_t inputs[T];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t)
      inputs[t] = simd::load_inputs(first[t] + 4 * step, second[t] + 4 * step);
    simd::add_squares(sums, inputs, from);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
    store(row + r, Kind::finish(simd::row_of(sums[r / 2], r % 2 != 0), m, in, row + r, panel));
}

template <class Kind, int R, class Store>
void squares_of_at_most(const Matrix& m, const Inputs& in, int rows, int row, int panel,
                        const Store& store) {
  if constexpr (R > 1) {
    if (rows < R) return squares_of_at_most<Kind, R - 1>(m, in, rows, row, panel, store);
  }
  squares_of<Kind, R>(m, in, row, panel, store);
}

}  // namespace csm

#endif
