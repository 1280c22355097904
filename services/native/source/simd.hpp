// Vectors of sixteen lanes, in the instruction set this library is compiled for.
//
// Everything above this file is written once, over sixteen floats (F32), sixteen int32 (I32) and
// blocks of 64 bytes of weights (Int8Block). One library is built for one level (levels.py), so
// that a choice made here costs nothing at run time. A level provides:
//
//   F32, I32            sixteen lanes; zero(), set(x)
//   load, store         sixteen lanes, any alignment; load_n, store_n touch only the first n
//   load_bf16_n, store_bf16_n   the same for bfloat16 memory, widened and rounded
//   load_pairs          32 bfloat16 (a0 b0 a1 b1 ...) into the lanes `first` and `second`
//   add, sub, mul, div, fma(a, b, c) = a * b + c, max, sqrt, round, pow2 (of whole numbers)
//   sum, largest        over the lanes, always in the same order
//   turn                sixteen rows of sixteen lanes become sixteen columns
//   store_int8          rounds lanes in [-127, 127] to bytes, as `dot` wants them
//   load_block, spread, dot          sums[lane] += four products of int8
//   activation_offset   what store_int8 adds to a byte, to be taken off the sums afterwards
//   CSM_PAIRS           defined where products of bf16 pairs are one instruction; with it Pairs,
//                       load_raw_pairs, store_raw_pairs, spread_pair, dot_pairs(sums, a, b), turn,
//                       zip, store_zipped, narrow_pairs, scale_pow2
//   store_rounded_n     store_bf16_n for factors of such products: where there are some, what is no
//                       number stays none, and subnormals may become zeros
//   CSM_SQUARES         defined where two rows by two outputs are one instruction, of int8 and bf16;
//                       with it Squares, load_inputs, add_squares, row_of, four_zeros
//   steps_at_once       steps that such an instruction takes: panels of int8 and bf16 have a multiple
//   sum_budget          how many sums of sixteen lanes fit in registers beside their operands
#pragma once

#include <cstdint>

namespace csm {

constexpr int lanes = 16;

using bf16 = uint16_t;

inline float widen(bf16 x) {
  union {
    uint32_t bits;
    float value;
  } u;
  u.bits = static_cast<uint32_t>(x) << 16;
  return u.value;
}

// Round to nearest, ties to even, as torch does. Not for NaN.
inline bf16 narrow(float x) {
  union {
    float value;
    uint32_t bits;
  } u;
  u.value = x;
  return static_cast<bf16>((u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16);
}

}  // namespace csm

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include "simd_avx512.hpp"
#elif defined(__AVX2__) && defined(__FMA__)
#include "simd_avx2.hpp"
#elif defined(CSM_NEON)
#include "simd_neon.hpp"
#else
#include "simd_generic.hpp"
#endif

namespace csm {

#ifdef CSM_PAIRS
constexpr bool has_pairs = true;
#else
constexpr bool has_pairs = false;
#endif

}  // namespace csm

namespace csm::simd {

// What a level does no faster by itself.
#ifndef CSM_SQUARES
constexpr int steps_at_once = 1;
#endif

#ifndef CSM_PAIRS
inline void store_rounded_n(bf16* p, F32 x, int n) { store_bf16_n(p, x, n); }
#endif

template <int N>
inline void turn(const F32 (&rows)[N], F32 (&out)[N]) {
  float numbers[N * lanes], column[lanes];
  for (int t = 0; t < N; ++t) store(numbers + t * lanes, rows[t]);
  for (int i = 0; i < N; ++i) {
    for (int t = 0; t < N; ++t) column[t] = numbers[t * lanes + i];
    out[i] = load(column);
  }
}

}  // namespace csm::simd
