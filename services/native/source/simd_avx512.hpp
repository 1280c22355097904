// AVX-512 with VNNI: one register holds the sixteen lanes.
#pragma once

#include <immintrin.h>

namespace csm::simd {

using F32 = __m512;
using I32 = __m512i;
using Int8Block = __m512i;

constexpr int sum_budget = 24;
// vpdpbusd multiplies unsigned by signed bytes: activations are stored 128 too high.
constexpr int activation_offset = 128;

inline F32 zero() { return _mm512_setzero_ps(); }
inline I32 zero_int() { return _mm512_setzero_si512(); }
inline F32 set(float x) { return _mm512_set1_ps(x); }

inline __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }

inline F32 load(const float* p) { return _mm512_loadu_ps(p); }
inline F32 load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store(float* p, F32 x) { _mm512_storeu_ps(p, x); }
inline void store_n(float* p, F32 x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }

inline F32 widened(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
inline __m256i narrowed(F32 x) {
  __m512i bits = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  bits = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16));
}
inline F32 load_bf16_n(const bf16* p, int n) {
  return widened(_mm256_maskz_loadu_epi16(first(n), p));
}
inline void store_bf16_n(bf16* p, F32 x, int n) {
  _mm256_mask_storeu_epi16(p, first(n), narrowed(x));
}
inline void load_pairs(const uint8_t* p, F32& even, F32& odd) {
  __m512i both = _mm512_loadu_si512(p);
  even = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
  odd = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(int(0xffff0000))));
}

inline F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
inline F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
inline F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
inline F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
inline F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
inline F32 max(F32 a, F32 b) { return _mm512_max_ps(a, b); }
inline F32 min(F32 a, F32 b) { return _mm512_min_ps(a, b); }
inline F32 abs(F32 x) { return _mm512_abs_ps(x); }
inline F32 round(F32 x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline F32 pow2(F32 n) {
  __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
inline float sum(F32 x) { return _mm512_reduce_add_ps(x); }
inline float largest(F32 x) { return _mm512_reduce_max_ps(x); }

// Sixteen rows of sixteen lanes become sixteen columns: out[i] holds lane i of every row.
inline void turn(const __m512i (&rows)[16], __m512i (&out)[16]) {
  __m512i a[16], b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  // b[4 r + c], quarter q: lane 4 q + c of the rows 4 r to 4 r + 3.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i low01 = _mm512_shuffle_i32x4(b[c], b[4 + c], 0x44);
    const __m512i high01 = _mm512_shuffle_i32x4(b[c], b[4 + c], 0xee);
    const __m512i low23 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0x44);
    const __m512i high23 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0xee);
    out[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    out[4 + c] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    out[8 + c] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    out[12 + c] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
  }
}
inline void turn(const F32 (&rows)[16], F32 (&out)[16]) {
  __m512i bits[16], columns[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) bits[i] = _mm512_castps_si512(rows[i]);
  turn(bits, columns);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) out[i] = _mm512_castsi512_ps(columns[i]);
}

inline F32 to_float(I32 x) { return _mm512_cvtepi32_ps(x); }
inline I32 load_int(const int32_t* p) { return _mm512_loadu_si512(p); }
inline I32 sub(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }

inline void store_int8(uint8_t* p, F32 x) {
  __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(activation_offset));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(whole));
}
inline Int8Block load_block(const uint8_t* p) { return _mm512_loadu_si512(p); }
inline __m512i spread(int32_t four) { return _mm512_set1_epi32(four); }
// _mm512_dpbusd_epi32, but gcc 12 copies every sum twice around that one.
inline I32 dot(I32 sums, Int8Block weights, __m512i inputs) {
#ifdef CSM_EMULATED
  return _mm512_dpbusd_epi32(sums, inputs, weights);
#else
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(inputs), "vm"(weights));
  return sums;
#endif
}

#ifdef __AVX512BF16__
// Products of bf16 pairs: CSM_PAIRS says that what follows is there.
#define CSM_PAIRS 1

using Pairs = __m512i;

inline Pairs load_raw_pairs(const void* p) { return _mm512_loadu_si512(p); }
inline void store_raw_pairs(void* p, Pairs x) { _mm512_storeu_si512(p, x); }
inline Pairs spread_pair(uint32_t pair) { return _mm512_set1_epi32(static_cast<int>(pair)); }
// As with vpdpbusd above.
inline F32 dot_pairs(F32 sums, Pairs a, Pairs b) {
#ifdef CSM_EMULATED
  return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#else
  asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(a), "vm"(b));
  return sums;
#endif
}
// Of every pair the first, the second; a zero in the other's place.
inline Pairs firsts(Pairs x) { return _mm512_and_si512(x, _mm512_set1_epi32(0xffff)); }
inline Pairs seconds(Pairs x) { return _mm512_and_si512(x, _mm512_set1_epi32(int(0xffff0000))); }
// Subnormal numbers as zeros of their sign.
inline F32 flushed(F32 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __mmask16 tiny =
      _mm512_cmp_ps_mask(abs(x), _mm512_set1_ps(1.17549435e-38f), _CMP_LT_OQ);
  return _mm512_castsi512_ps(
      _mm512_mask_and_epi32(bits, tiny, bits, _mm512_set1_epi32(int(0x80000000))));
}

// Two runs of 32 bf16 as pairs of one of each: `low` and `high` together hold all 32, in an order
// that `store_zipped` undoes.
inline void zip(Pairs x, Pairs y, Pairs& low, Pairs& high) {
  low = _mm512_unpacklo_epi16(x, y);
  high = _mm512_unpackhi_epi16(x, y);
}
inline void store_zipped(float* p, F32 low, F32 high) {
  const F32 first = _mm512_shuffle_f32x4(low, high, 0x44);
  const F32 second = _mm512_shuffle_f32x4(low, high, 0xee);
  store(p, _mm512_shuffle_f32x4(first, first, 0xd8));
  store(p + lanes, _mm512_shuffle_f32x4(second, second, 0xd8));
}
// 32 floats in order, rounded to the nearest; subnormal ones are zeros.
inline Pairs narrow_pairs(F32 first, F32 second) {
  return reinterpret_cast<Pairs>(_mm512_cvtne2ps_pbh(second, first));
}
inline void store_rounded_n(bf16* p, F32 x, int n) {
  _mm256_mask_storeu_epi16(p, first(n), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}
// x * 2^n for whole n, 0 where that is too small for a float.
inline F32 scale_pow2(F32 x, F32 n) { return _mm512_scalef_ps(x, n); }
#endif

}  // namespace csm::simd
