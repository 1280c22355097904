// AVX2 with FMA: two registers hold the sixteen lanes.
#pragma once

#include <immintrin.h>

#include <cstring>

namespace csm::simd {

struct F32 {
  __m256 low, high;
};
struct I32 {
  __m256i low, high;
};
struct Int8Block {
  __m256i low, high;
};

constexpr int sum_budget = 6;
constexpr int activation_offset = 0;

inline F32 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline I32 zero_int() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline F32 set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

inline F32 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline F32 load_n(const float* p, int n) {
  if (n == lanes) return load(p);
  float part[lanes] = {};
  std::memcpy(part, p, n * sizeof(float));
  return load(part);
}
inline void store(float* p, F32 x) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}
inline void store_n(float* p, F32 x, int n) {
  if (n == lanes) return store(p, x);
  float part[lanes];
  store(part, x);
  std::memcpy(p, part, n * sizeof(float));
}

inline __m256 widened(__m128i x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
inline F32 load_bf16(const bf16* p) {
  return {widened(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          widened(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline F32 load_bf16_n(const bf16* p, int n) {
  if (n == lanes) return load_bf16(p);
  bf16 part[lanes] = {};
  std::memcpy(part, p, n * sizeof(bf16));
  return load_bf16(part);
}
inline void store_bf16_n(bf16* p, F32 x, int n) {
  float part[lanes];
  store(part, x);
  for (int i = 0; i < n; ++i) p[i] = narrow(part[i]);
}
inline void load_pairs(const uint8_t* p, F32& even, F32& odd) {
  const __m256i top = _mm256_set1_epi32(int(0xffff0000));
  __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
  even = {_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
  odd = {_mm256_castsi256_ps(_mm256_and_si256(low, top)),
         _mm256_castsi256_ps(_mm256_and_si256(high, top))};
}

inline F32 add(F32 a, F32 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline F32 sub(F32 a, F32 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline F32 mul(F32 a, F32 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline F32 div(F32 a, F32 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline F32 fma(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline F32 max(F32 a, F32 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline F32 min(F32 a, F32 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline F32 abs(F32 x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(x.low, mask), _mm256_and_ps(x.high, mask)};
}
inline F32 round(F32 x) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.low, nearest), _mm256_round_ps(x.high, nearest)};
}
inline __m256 pow2(__m256 n) {
  __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
inline F32 pow2(F32 n) { return {pow2(n.low), pow2(n.high)}; }
inline float sum(F32 x) {
  __m256 eight = _mm256_add_ps(x.low, x.high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline float largest(F32 x) {
  __m256 eight = _mm256_max_ps(x.low, x.high);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// Eight rows of eight become columns.
inline void turn(const __m256 (&rows)[8], __m256 (&out)[8]) {
  __m256 a[8], b[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    a[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
    b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
    b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
    b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
  }
  // b[4 r + c], half h: column 4 h + c of the rows 4 r to 4 r + 3.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    out[c] = _mm256_permute2f128_ps(b[c], b[4 + c], 0x20);
    out[4 + c] = _mm256_permute2f128_ps(b[c], b[4 + c], 0x31);
  }
}
inline void turn(const F32 (&rows)[16], F32 (&out)[16]) {
  __m256 square[8], turned[8];
#pragma GCC unroll 4
  for (int part = 0; part < 4; ++part) {
    const int right = part & 1, down = part / 2 * 8;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) square[i] = right ? rows[down + i].high : rows[down + i].low;
    turn(square, turned);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      F32& column = out[8 * right + i];
      (down ? column.high : column.low) = turned[i];
    }
  }
}

inline F32 to_float(I32 x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }
inline I32 load_int(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
inline I32 sub(I32 a, I32 b) {
  return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}

inline void store_int8(uint8_t* p, F32 x) {
  int32_t whole[lanes];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(whole), _mm256_cvtps_epi32(x.low));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(whole + 8), _mm256_cvtps_epi32(x.high));
  for (int i = 0; i < lanes; ++i) p[i] = static_cast<uint8_t>(static_cast<int8_t>(whole[i]));
}
inline Int8Block load_block(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
inline __m256i spread(int32_t four) { return _mm256_set1_epi32(four); }
// |x| * sign(x) w: two products of at most 127 * 127 fit the 16 bits that vpmaddubsw adds them in.
inline __m256i products(__m256i weights, __m256i inputs) {
  __m256i pairs =
      _mm256_maddubs_epi16(_mm256_abs_epi8(inputs), _mm256_sign_epi8(weights, inputs));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
inline I32 dot(I32 sums, Int8Block weights, __m256i inputs) {
  return {_mm256_add_epi32(sums.low, products(weights.low, inputs)),
          _mm256_add_epi32(sums.high, products(weights.high, inputs))};
}

}  // namespace csm::simd
