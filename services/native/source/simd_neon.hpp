// ARM's Advanced SIMD: four registers hold the sixteen lanes. With __ARM_FEATURE_DOTPROD four
// products of int8 are one instruction, with __ARM_FEATURE_BF16_VECTOR_ARITHMETIC pairs of bf16
// (simd_neon_pairs.hpp), with __ARM_FEATURE_MATMUL_INT8 beside it squares of both
// (simd_neon_squares.hpp): the compiler's words for what the level's flags allow.
#pragma once

#include <arm_neon.h>

#include <cstring>

namespace csm::simd {

struct F32 {
  float32x4_t a, b, c, d;
};
struct I32 {
  int32x4_t a, b, c, d;
};
struct Int8Block {
  int8x16_t a, b, c, d;
};

constexpr int sum_budget = 6;
constexpr int activation_offset = 0;

template <class Function>
inline F32 each(const Function& f, F32 x) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class Function>
inline F32 each(const Function& f, F32 x, F32 y) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
}

inline F32 set(float x) {
  const float32x4_t four = vdupq_n_f32(x);
  return {four, four, four, four};
}
inline F32 zero() { return set(0.0f); }
inline I32 zero_int() {
  const int32x4_t four = vdupq_n_s32(0);
  return {four, four, four, four};
}

inline F32 load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
inline F32 load_n(const float* p, int n) {
  if (n == lanes) return load(p);
  float part[lanes] = {};
  std::memcpy(part, p, n * sizeof(float));
  return load(part);
}
inline void store(float* p, F32 x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
inline void store_n(float* p, F32 x, int n) {
  if (n == lanes) return store(p, x);
  float part[lanes];
  store(part, x);
  std::memcpy(p, part, n * sizeof(float));
}

inline float32x4_t widened(uint16x4_t x) {
  return vreinterpretq_f32_u32(vshll_n_u16(x, 16));
}
inline F32 load_bf16(const bf16* p) {
  const uint16x8_t low = vld1q_u16(p), high = vld1q_u16(p + 8);
  return {widened(vget_low_u16(low)), widened(vget_high_u16(low)), widened(vget_low_u16(high)),
          widened(vget_high_u16(high))};
}
inline F32 load_bf16_n(const bf16* p, int n) {
  if (n == lanes) return load_bf16(p);
  bf16 part[lanes] = {};
  std::memcpy(part, p, n * sizeof(bf16));
  return load_bf16(part);
}
// As `narrow`, four at a time.
inline uint16x4_t narrowed(float32x4_t x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  return vshrn_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
}
inline void store_bf16_n(bf16* p, F32 x, int n) {
  bf16 part[lanes];
  bf16* to = n == lanes ? p : part;
  vst1q_u16(to, vcombine_u16(narrowed(x.a), narrowed(x.b)));
  vst1q_u16(to + 8, vcombine_u16(narrowed(x.c), narrowed(x.d)));
  if (n != lanes) std::memcpy(p, part, n * sizeof(bf16));
}
inline void load_pairs(const uint8_t* p, F32& even, F32& odd) {
  const uint32_t* both = reinterpret_cast<const uint32_t*>(p);
  const uint32x4_t a = vld1q_u32(both), b = vld1q_u32(both + 4);
  const uint32x4_t c = vld1q_u32(both + 8), d = vld1q_u32(both + 12);
  const uint32x4_t top = vdupq_n_u32(0xffff0000);
  even = {vreinterpretq_f32_u32(vshlq_n_u32(a, 16)), vreinterpretq_f32_u32(vshlq_n_u32(b, 16)),
          vreinterpretq_f32_u32(vshlq_n_u32(c, 16)), vreinterpretq_f32_u32(vshlq_n_u32(d, 16))};
  odd = {vreinterpretq_f32_u32(vandq_u32(a, top)), vreinterpretq_f32_u32(vandq_u32(b, top)),
         vreinterpretq_f32_u32(vandq_u32(c, top)), vreinterpretq_f32_u32(vandq_u32(d, top))};
}

inline F32 add(F32 x, F32 y) { return each(vaddq_f32, x, y); }
inline F32 sub(F32 x, F32 y) { return each(vsubq_f32, x, y); }
inline F32 mul(F32 x, F32 y) { return each(vmulq_f32, x, y); }
inline F32 div(F32 x, F32 y) { return each(vdivq_f32, x, y); }
inline F32 fma(F32 x, F32 y, F32 z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
          vfmaq_f32(z.d, x.d, y.d)};
}
// Of what is no number and a number the number, as elsewhere where it comes second.
inline F32 max(F32 x, F32 y) { return each(vmaxnmq_f32, x, y); }
inline F32 min(F32 x, F32 y) { return each(vminnmq_f32, x, y); }
inline F32 abs(F32 x) { return each(vabsq_f32, x); }
inline F32 round(F32 x) { return each(vrndnq_f32, x); }
inline float32x4_t pow2(float32x4_t n) {
  return vreinterpretq_f32_s32(
      vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
}
inline F32 pow2(F32 n) { return {pow2(n.a), pow2(n.b), pow2(n.c), pow2(n.d)}; }
// Halves upon halves, as at the levels of x86.
inline float sum(F32 x) {
  const float32x4_t four = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float largest(F32 x) {
  return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(x.a, x.c), vmaxnmq_f32(x.b, x.d)));
}

inline F32 to_float(I32 x) {
  return {vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)};
}
inline I32 load_int(const int32_t* p) {
  return {vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)};
}
inline I32 sub(I32 x, I32 y) {
  return {vsubq_s32(x.a, y.a), vsubq_s32(x.b, y.b), vsubq_s32(x.c, y.c), vsubq_s32(x.d, y.d)};
}

inline int16x8_t whole(float32x4_t low, float32x4_t high) {
  return vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(low)), vqmovn_s32(vcvtnq_s32_f32(high)));
}
inline void store_int8(uint8_t* p, F32 x) {
  const int8x16_t bytes =
      vcombine_s8(vqmovn_s16(whole(x.a, x.b)), vqmovn_s16(whole(x.c, x.d)));
  vst1q_u8(p, vreinterpretq_u8_s8(bytes));
}
inline Int8Block load_block(const uint8_t* p) {
  const int8_t* bytes = reinterpret_cast<const int8_t*>(p);
  return {vld1q_s8(bytes), vld1q_s8(bytes + 16), vld1q_s8(bytes + 32), vld1q_s8(bytes + 48)};
}
inline int8x16_t spread(int32_t four) { return vreinterpretq_s8_s32(vdupq_n_s32(four)); }
#ifdef __ARM_FEATURE_DOTPROD
inline int32x4_t dot(int32x4_t sums, int8x16_t weights, int8x16_t inputs) {
  return vdotq_s32(sums, weights, inputs);
}
#else
// Two products of at most 127 * 127 fit the 16 bits that they are added in.
inline int32x4_t dot(int32x4_t sums, int8x16_t weights, int8x16_t inputs) {
  const int16x8_t low = vmull_s8(vget_low_s8(weights), vget_low_s8(inputs));
  return vpadalq_s16(sums, vpaddq_s16(low, vmull_high_s8(weights, inputs)));
}
#endif
inline I32 dot(I32 sums, Int8Block weights, int8x16_t inputs) {
  return {dot(sums.a, weights.a, inputs), dot(sums.b, weights.b, inputs),
          dot(sums.c, weights.c, inputs), dot(sums.d, weights.d, inputs)};
}

}  // namespace csm::simd

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#include "simd_neon_pairs.hpp"
#ifdef __ARM_FEATURE_MATMUL_INT8
#include "simd_neon_squares.hpp"
#endif
#endif
