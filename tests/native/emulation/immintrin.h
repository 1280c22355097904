// AVX-512 lane by lane: the intrinsics that simd_avx512.hpp uses, in plain C++ after Intel's
// descriptions, for processors that lack them. Found in place of the compiler's header of that name.
//
// Only tests compile with it (tests/native/emulated.py); nothing of it is shipped.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

typedef float __m512 __attribute__((vector_size(64)));
typedef double __m512d __attribute__((vector_size(64)));
typedef long long __m512i __attribute__((vector_size(64)));
typedef long long __m256i __attribute__((vector_size(32)));
typedef long long __m128i __attribute__((vector_size(16)));
typedef uint16_t __m512bh __attribute__((vector_size(64)));
typedef uint16_t __m256bh __attribute__((vector_size(32)));
typedef uint16_t __mmask16;

#define _MM_FROUND_TO_NEAREST_INT 0
#define _MM_FROUND_NO_EXC 8
#define _CMP_LT_OQ 17

// Called, not unrolled a hundred times over: kernels hold dozens of sums, and compile in seconds so.
#define CSM_CALLED __attribute__((noinline, unused)) static

namespace emulated {

typedef int32_t Int __attribute__((vector_size(64)));
typedef uint32_t Word __attribute__((vector_size(64)));
typedef uint16_t Half __attribute__((vector_size(64)));
typedef int64_t Long __attribute__((vector_size(64)));
typedef uint16_t Half256 __attribute__((vector_size(32)));
typedef uint8_t Byte128 __attribute__((vector_size(16)));

inline uint32_t bits(float x) {
  uint32_t found;
  std::memcpy(&found, &x, sizeof(found));
  return found;
}

// Lanes of `x` where `mask` is all ones lose all but their sign.
inline __m512 zero_where(Int mask, __m512 x) {
  return (__m512)((Int)x & ~(mask & Int{} + 0x7fffffff));
}
inline __m512 absolute(__m512 x) { return (__m512)((Int)x & Int{} + 0x7fffffff); }

// Subnormal numbers are zeros of their sign.
inline __m512 flush(__m512 x) { return zero_where(absolute(x) < FLT_MIN, x); }

// a * b + c, rounded once.
inline __m512 fma(__m512 a, __m512 b, __m512 c) {
#ifdef __FMA__
  typedef float Eight __attribute__((vector_size(32)));
  Eight of_a[2], of_b[2], of_c[2];
  std::memcpy(of_a, &a, sizeof(a));
  std::memcpy(of_b, &b, sizeof(b));
  std::memcpy(of_c, &c, sizeof(c));
  for (int i = 0; i < 2; ++i) of_c[i] = __builtin_ia32_vfmaddps256(of_a[i], of_b[i], of_c[i]);
  std::memcpy(&c, of_c, sizeof(c));
#else
  for (int i = 0; i < 16; ++i) c[i] = std::fma(a[i], b[i], c[i]);
#endif
  return c;
}

// The same to the nearest with subnormal operands and results as zeros: what bf16 products do
// whatever MXCSR says. Whether a result is too small is decided as if exponents had no end.
CSM_CALLED __m512 fma_flushed(__m512 a, __m512 b, __m512 c) {
  a = flush(a);
  b = flush(b);
  c = flush(c);
  const __m512 sum = fma(a, b, c), size = absolute(sum);
  Int tiny = size < FLT_MIN;
  const Int unsure = size == FLT_MIN;
  for (int i = 0; i < 16; ++i) {
    if (!unsure[i]) continue;
    constexpr float up = 0x1p60f;
    if (std::fabs(std::fma(a[i] * up, b[i], c[i] * up)) < FLT_MIN * up) tiny[i] = -1;
  }
  return zero_where(tiny, sum);
}
inline __m512 add_flushed(__m512 a, __m512 b) { return flush(flush(a) + flush(b)); }

// Of sixteen pairs of bf16 the first or the second of each, widened.
inline __m512 firsts(__m512i pairs) { return (__m512)((Word)pairs << 16); }
inline __m512 seconds(__m512i pairs) { return (__m512)((Word)pairs & 0xffff0000u); }

// VCVTNEPS2BF16: to the nearest, ties to even; subnormals are zeros, what is no number stays none.
inline uint16_t to_bf16(float x) {
  const uint32_t all = bits(x);
  if (std::isnan(x)) return static_cast<uint16_t>(all >> 16 | 0x40);
  if (std::fabs(x) < FLT_MIN) return static_cast<uint16_t>((all & 0x80000000u) >> 16);
  if (std::isinf(x)) return static_cast<uint16_t>(all >> 16);
  return static_cast<uint16_t>((all + 0x7fff + (all >> 16 & 1)) >> 16);
}

template <class Function>
inline __m512 each(Function function) {
  __m512 result;
  for (int i = 0; i < 16; ++i) result[i] = function(i);
  return result;
}
template <class Function>
inline __m512i each_int(Function function) {
  Int result;
  for (int i = 0; i < 16; ++i) result[i] = function(i);
  return (__m512i)result;
}

// Each 128 bits: the lower (upper) halves of two operands, in turns of one element.
template <class Vector, int Elements>
inline Vector unpack(Vector a, Vector b, bool upper) {
  constexpr int part = Elements / 4;
  Vector result;
  for (int i = 0; i < Elements; ++i) {
    const int inside = i % part;
    const int from = i / part * part + inside / 2 + (upper ? part / 2 : 0);
    result[i] = inside % 2 ? b[from] : a[from];
  }
  return result;
}

// 128 bits at a time: two of `a`, two of `b`, as the four pairs of bits of `choice` say.
CSM_CALLED __m512i shuffle_quarters(__m512i a, __m512i b, int choice) {
  __m512i result;
  for (int quarter = 0; quarter < 4; ++quarter) {
    const int from = choice >> 2 * quarter & 3;
    for (int i = 0; i < 2; ++i)
      result[2 * quarter + i] = quarter < 2 ? a[2 * from + i] : b[2 * from + i];
  }
  return result;
}

template <class Operation>
inline float reduce(__m512 x, Operation operation) {
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; ++i) x[i] = operation(x[i + half], x[i]);
  return x[0];
}

}  // namespace emulated

inline __m512 _mm512_setzero_ps() { return __m512{}; }
inline __m512i _mm512_setzero_si512() { return __m512i{}; }
inline __m512 _mm512_set1_ps(float x) {
  return emulated::each([&](int) { return x; });
}
inline __m512i _mm512_set1_epi32(int x) {
  return emulated::each_int([&](int) { return x; });
}

inline __m512 _mm512_castsi512_ps(__m512i x) { return (__m512)x; }
inline __m512i _mm512_castps_si512(__m512 x) { return (__m512i)x; }
inline __m512d _mm512_castps_pd(__m512 x) { return (__m512d)x; }
inline __m512 _mm512_castpd_ps(__m512d x) { return (__m512)x; }

inline __m512 _mm512_loadu_ps(const void* p) {
  __m512 x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}
inline void _mm512_storeu_ps(void* p, __m512 x) { std::memcpy(p, &x, sizeof(x)); }
inline __m512i _mm512_loadu_si512(const void* p) {
  __m512i x;
  std::memcpy(&x, p, sizeof(x));
  return x;
}
inline void _mm512_storeu_si512(void* p, __m512i x) { std::memcpy(p, &x, sizeof(x)); }
inline void _mm_storeu_si128(__m128i* p, __m128i x) { std::memcpy(p, &x, sizeof(x)); }

// What a mask leaves out is not touched.
CSM_CALLED __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const float* p) {
  __m512 x{};
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) x[i] = p[i];
  return x;
}
CSM_CALLED void _mm512_mask_storeu_ps(float* p, __mmask16 mask, __m512 x) {
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) p[i] = x[i];
}
CSM_CALLED __m256i _mm256_maskz_loadu_epi16(__mmask16 mask, const void* p) {
  emulated::Half256 x{};
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) {
      uint16_t half;
      std::memcpy(&half, static_cast<const char*>(p) + 2 * i, sizeof(half));
      x[i] = half;
    }
  return (__m256i)x;
}
CSM_CALLED void _mm256_mask_storeu_epi16(void* p, __mmask16 mask, __m256i x) {
  const emulated::Half256 halves = (emulated::Half256)x;
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) {
      const uint16_t half = halves[i];
      std::memcpy(static_cast<char*>(p) + 2 * i, &half, sizeof(half));
    }
}

inline __m512i _mm512_slli_epi32(__m512i x, unsigned n) {
  return (__m512i)((emulated::Word)x << n);
}
inline __m512i _mm512_srli_epi32(__m512i x, unsigned n) {
  return (__m512i)((emulated::Word)x >> n);
}
inline __m512i _mm512_and_si512(__m512i a, __m512i b) { return a & b; }
inline __m512i _mm512_mask_and_epi32(__m512i otherwise, __mmask16 mask, __m512i a, __m512i b) {
  const emulated::Int both = (emulated::Int)(a & b), other = (emulated::Int)otherwise;
  return emulated::each_int([&](int i) { return mask >> i & 1 ? both[i] : other[i]; });
}
inline __m512i _mm512_add_epi32(__m512i a, __m512i b) {
  return (__m512i)((emulated::Word)a + (emulated::Word)b);
}
inline __m512i _mm512_sub_epi32(__m512i a, __m512i b) {
  return (__m512i)((emulated::Word)a - (emulated::Word)b);
}

inline __m512i _mm512_cvtepu16_epi32(__m256i x) {
  const emulated::Half256 halves = (emulated::Half256)x;
  return emulated::each_int([&](int i) { return static_cast<int32_t>(halves[i]); });
}
inline __m256i _mm512_cvtepi32_epi16(__m512i x) {
  const emulated::Int whole = (emulated::Int)x;
  emulated::Half256 halves;
  for (int i = 0; i < 16; ++i) halves[i] = static_cast<uint16_t>(whole[i]);
  return (__m256i)halves;
}
inline __m128i _mm512_cvtepi32_epi8(__m512i x) {
  const emulated::Int whole = (emulated::Int)x;
  emulated::Byte128 bytes;
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>(whole[i]);
  return (__m128i)bytes;
}
inline __m512 _mm512_cvtepi32_ps(__m512i x) {
  const emulated::Int whole = (emulated::Int)x;
  return emulated::each([&](int i) { return static_cast<float>(whole[i]); });
}
// What no int32 holds becomes the smallest.
CSM_CALLED __m512i _mm512_cvtps_epi32(__m512 x) {
  return emulated::each_int([&](int i) {
    const float whole = std::nearbyint(x[i]);
    return whole >= -0x1p31f && whole < 0x1p31f ? static_cast<int32_t>(whole) : INT32_MIN;
  });
}

inline __m512 _mm512_add_ps(__m512 a, __m512 b) { return a + b; }
inline __m512 _mm512_sub_ps(__m512 a, __m512 b) { return a - b; }
inline __m512 _mm512_mul_ps(__m512 a, __m512 b) { return a * b; }
inline __m512 _mm512_div_ps(__m512 a, __m512 b) { return a / b; }
inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
  return emulated::fma(a, b, c);
}
inline __m512 _mm512_max_ps(__m512 a, __m512 b) { return a > b ? a : b; }
inline __m512 _mm512_min_ps(__m512 a, __m512 b) { return a < b ? a : b; }
inline __m512 _mm512_abs_ps(__m512 x) { return emulated::absolute(x); }
CSM_CALLED __m512 _mm512_roundscale_ps(__m512 x, int) {
  return emulated::each([&](int i) { return std::nearbyint(x[i]); });
}
CSM_CALLED __m512 _mm512_scalef_ps(__m512 x, __m512 n) {
  return emulated::each([&](int i) {
    if (std::isnan(n[i])) return n[i];
    const float whole = std::floor(std::fmin(std::fmax(n[i], -1000.0f), 1000.0f));
    return std::ldexp(x[i], static_cast<int>(whole));
  });
}
inline __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int) {
  unsigned mask = 0;
  for (int i = 0; i < 16; ++i) mask |= static_cast<unsigned>(a[i] < b[i]) << i;
  return static_cast<__mmask16>(mask);
}
inline float _mm512_reduce_add_ps(__m512 x) {
  return emulated::reduce(x, [](float a, float b) { return a + b; });
}
inline float _mm512_reduce_max_ps(__m512 x) {
  return emulated::reduce(x, [](float a, float b) { return a > b ? a : b; });
}

CSM_CALLED __m512 _mm512_unpacklo_ps(__m512 a, __m512 b) {
  return emulated::unpack<__m512, 16>(a, b, false);
}
CSM_CALLED __m512 _mm512_unpackhi_ps(__m512 a, __m512 b) {
  return emulated::unpack<__m512, 16>(a, b, true);
}
CSM_CALLED __m512d _mm512_unpacklo_pd(__m512d a, __m512d b) {
  return emulated::unpack<__m512d, 8>(a, b, false);
}
CSM_CALLED __m512d _mm512_unpackhi_pd(__m512d a, __m512d b) {
  return emulated::unpack<__m512d, 8>(a, b, true);
}
CSM_CALLED __m512i _mm512_unpacklo_epi16(__m512i a, __m512i b) {
  return (__m512i)emulated::unpack<emulated::Half, 32>((emulated::Half)a, (emulated::Half)b, false);
}
CSM_CALLED __m512i _mm512_unpackhi_epi16(__m512i a, __m512i b) {
  return (__m512i)emulated::unpack<emulated::Half, 32>((emulated::Half)a, (emulated::Half)b, true);
}
CSM_CALLED __m512i _mm512_unpacklo_epi32(__m512i a, __m512i b) {
  return (__m512i)emulated::unpack<emulated::Int, 16>((emulated::Int)a, (emulated::Int)b, false);
}
CSM_CALLED __m512i _mm512_unpackhi_epi32(__m512i a, __m512i b) {
  return (__m512i)emulated::unpack<emulated::Int, 16>((emulated::Int)a, (emulated::Int)b, true);
}
CSM_CALLED __m512i _mm512_unpacklo_epi64(__m512i a, __m512i b) {
  return emulated::unpack<__m512i, 8>(a, b, false);
}
CSM_CALLED __m512i _mm512_unpackhi_epi64(__m512i a, __m512i b) {
  return emulated::unpack<__m512i, 8>(a, b, true);
}
inline __m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int choice) {
  return emulated::shuffle_quarters(a, b, choice);
}
inline __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int choice) {
  return (__m512)emulated::shuffle_quarters((__m512i)a, (__m512i)b, choice);
}

// VNNI: four products of an unsigned and a signed byte are added to each lane.
CSM_CALLED __m512i _mm512_dpbusd_epi32(__m512i sums, __m512i a, __m512i b) {
  uint8_t of_a[64];
  int8_t of_b[64];
  std::memcpy(of_a, &a, sizeof(a));
  std::memcpy(of_b, &b, sizeof(b));
  const emulated::Int before = (emulated::Int)sums;
  return emulated::each_int([&](int i) {
    int32_t total = before[i];
    for (int j = 0; j < 4; ++j) total += of_a[4 * i + j] * of_b[4 * i + j];
    return total;
  });
}

// VDPBF16PS: of each lane first the product of the upper halves, then that of the lower ones.
CSM_CALLED __m512 _mm512_dpbf16_ps(__m512 sums, __m512bh a, __m512bh b) {
  const __m512i x = (__m512i)a, y = (__m512i)b;
  sums = emulated::fma_flushed(emulated::seconds(x), emulated::seconds(y), sums);
  return emulated::fma_flushed(emulated::firsts(x), emulated::firsts(y), sums);
}
CSM_CALLED __m512bh _mm512_cvtne2ps_pbh(__m512 upper, __m512 lower) {
  __m512bh result;
  for (int i = 0; i < 16; ++i) {
    result[i] = emulated::to_bf16(lower[i]);
    result[16 + i] = emulated::to_bf16(upper[i]);
  }
  return result;
}
CSM_CALLED __m256bh _mm512_cvtneps_pbh(__m512 x) {
  __m256bh result;
  for (int i = 0; i < 16; ++i) result[i] = emulated::to_bf16(x[i]);
  return result;
}
