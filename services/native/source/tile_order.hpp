// bf16 products of few rows in the very order of tiles, by AVX-512: a tile's time for one row is that
// for sixteen.
//
// vdpbf16ps adds both products of a pair to one sum, the second first; a tile keeps two chains apart
// and joins them every sixteen pairs (tiles.hpp). Where one of a pair is +0 and the other side's is
// -0, the product is -0, and adding that changes no sum whatever: so each chain is made of
// instructions of its own, and the bits are a tile's. That is so by Intel's pseudo code; a process
// compares both on its own processor before it relies on it.
#pragma once

#include <cstring>

#include "tile_sums.hpp"

#ifdef CSM_TILES

namespace csm::tiles {

// Fewer rows than these go by AVX-512 where that gives the same bits: int8 always, bf16 where
// `order_is_known`.
constexpr int least_rows = 4;

// Whether this processor's tiles give the bits that `sum_in_order` does. Compared once, when the
// first bf16 matrix is packed; may throw std::bad_alloc then.
bool order_is_known();

// `height` rows (R) of `inputs`, slot 0, by P panels: totals [R, P].
template <int R, int P, class Inputs>
void sum_in_order(const Matrix& m, int panel, Inputs& inputs, simd::F32 (&totals)[R][P]) {
  using simd::F32;
  const size_t panel_bytes = m.panel_bytes();
  const uint8_t* from = m.weights.data() + panel * panel_bytes;
  for (auto& row : totals)
    for (F32& total : row) total = simd::zero();
  for (int chunk = 0; chunk * rows < m.panel_steps; ++chunk) {
    const Rows in = inputs.rows(0, chunk);
    F32 first[R][P], second[R][P];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) first[r][p] = second[r][p] = simd::zero();
    for (int step = 0; step < rows; ++step, from += step_bytes) {
      simd::Pairs firsts[P], seconds[P];
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
        const uint8_t* weights = from + p * panel_bytes;
        __builtin_prefetch(weights + ahead_bytes, 0, 2);
        const simd::Pairs both = simd::load_raw_pairs(weights);
        firsts[p] = simd::firsts(both);
        seconds[p] = simd::seconds(both);
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        uint32_t both;
        std::memcpy(&both, in.at + r * in.stride + step * sizeof(both), sizeof(both));
        const simd::Pairs x = simd::spread_pair((both & 0xffffu) | 0x80000000u);
        const simd::Pairs y = simd::spread_pair((both & 0xffff0000u) | 0x8000u);
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) {
          first[r][p] = simd::dot_pairs(first[r][p], x, firsts[p]);
          second[r][p] = simd::dot_pairs(second[r][p], y, seconds[p]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
        const F32 joined = simd::flushed(simd::add(first[r][p], second[r][p]));
        totals[r][p] = simd::flushed(simd::add(totals[r][p], joined));
      }
  }
}

template <int R, int P, class Inputs, class Finish>
void few(const Matrix& m, int row, int panel, Inputs& inputs, const Finish& finish) {
  simd::F32 totals[R][P];
  sum_in_order<R, P>(m, panel, inputs, totals);
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p) {
      alignas(64) uint8_t sums[row_bytes];
      simd::store(reinterpret_cast<float*>(sums), totals[r][p]);
      finish(row + r, panel + p, sums);
    }
}

template <int R, class Inputs, class Finish>
void few_rows(const Matrix& m, int begin, int first, int last, Inputs& inputs,
              const Finish& finish) {
  inputs.take(0, begin, R);
  constexpr int P = R == 1 ? 4 : 2;
  int panel = first;
  for (; panel + P <= last; panel += P) few<R, P>(m, begin, panel, inputs, finish);
  for (; panel < last; ++panel) few<R, 1>(m, begin, panel, inputs, finish);
}

// As `multiply` of tile_sums.hpp, of bf16, by whichever is faster.
template <class Inputs, class Finish>
void multiply_pairs(const Matrix& m, int begin, int end, int first, int last, Inputs& inputs,
                    const Finish& finish) {
  if (end - begin >= least_rows || !order_is_known())
    return multiply<Pairs>(m, begin, end, first, last, inputs, finish);
  switch (end - begin) {
    case 3: return few_rows<3>(m, begin, first, last, inputs, finish);
    case 2: return few_rows<2>(m, begin, first, last, inputs, finish);
    default: return few_rows<1>(m, begin, first, last, inputs, finish);
  }
}

}  // namespace csm::tiles

#endif
