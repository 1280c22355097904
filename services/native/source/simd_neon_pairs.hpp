// ARM's products of bf16 pairs: CSM_PAIRS says that what follows is there. Sums of pairs are rounded
// to odd, and subnormals are zeros, in every processor that has them.
#pragma once

#define CSM_PAIRS 1

namespace csm::simd {

struct Pairs {
  uint32x4_t a, b, c, d;
};

inline Pairs load_raw_pairs(const void* p) {
  const uint32_t* pairs = static_cast<const uint32_t*>(p);
  return {vld1q_u32(pairs), vld1q_u32(pairs + 4), vld1q_u32(pairs + 8), vld1q_u32(pairs + 12)};
}
inline void store_raw_pairs(void* p, Pairs x) {
  uint32_t* pairs = static_cast<uint32_t*>(p);
  vst1q_u32(pairs, x.a);
  vst1q_u32(pairs + 4, x.b);
  vst1q_u32(pairs + 8, x.c);
  vst1q_u32(pairs + 12, x.d);
}
inline Pairs spread_pair(uint32_t pair) {
  const uint32x4_t four = vdupq_n_u32(pair);
  return {four, four, four, four};
}
// vbfdotq_f32, but gcc 12 loads a constant of bf16 as if it were of half precision.
inline float32x4_t dot_pairs(float32x4_t sums, uint32x4_t x, uint32x4_t y) {
  asm("bfdot %0.4s, %1.8h, %2.8h" : "+w"(sums) : "w"(x), "w"(y));
  return sums;
}
inline F32 dot_pairs(F32 sums, Pairs x, Pairs y) {
  return {dot_pairs(sums.a, x.a, y.a), dot_pairs(sums.b, x.b, y.b), dot_pairs(sums.c, x.c, y.c),
          dot_pairs(sums.d, x.d, y.d)};
}

// Four rows of four pairs become four columns.
inline void turn_four(uint32x4_t& w, uint32x4_t& x, uint32x4_t& y, uint32x4_t& z) {
  const uint64x2_t a = vreinterpretq_u64_u32(vtrn1q_u32(w, x));
  const uint64x2_t b = vreinterpretq_u64_u32(vtrn2q_u32(w, x));
  const uint64x2_t c = vreinterpretq_u64_u32(vtrn1q_u32(y, z));
  const uint64x2_t d = vreinterpretq_u64_u32(vtrn2q_u32(y, z));
  w = vreinterpretq_u32_u64(vtrn1q_u64(a, c));
  x = vreinterpretq_u32_u64(vtrn1q_u64(b, d));
  y = vreinterpretq_u32_u64(vtrn2q_u64(a, c));
  z = vreinterpretq_u32_u64(vtrn2q_u64(b, d));
}
// Sixteen rows of sixteen pairs become sixteen columns: out[i] holds pair i of every row.
inline void turn(const Pairs (&rows)[16], Pairs (&out)[16]) {
  const auto turned = [&](uint32x4_t Pairs::*from, int column, uint32x4_t Pairs::*to, int row) {
    uint32x4_t w = rows[row].*from, x = rows[row + 1].*from;
    uint32x4_t y = rows[row + 2].*from, z = rows[row + 3].*from;
    turn_four(w, x, y, z);
    out[column].*to = w;
    out[column + 1].*to = x;
    out[column + 2].*to = y;
    out[column + 3].*to = z;
  };
  constexpr uint32x4_t Pairs::*quarters[4] = {&Pairs::a, &Pairs::b, &Pairs::c, &Pairs::d};
#pragma GCC unroll 4
  for (int from = 0; from < 4; ++from)
#pragma GCC unroll 4
    for (int to = 0; to < 4; ++to) turned(quarters[from], 4 * from, quarters[to], 4 * to);
}

// Two runs of 32 bf16 as pairs of one of each: `low` and `high` together hold all 32, in an order
// that `store_zipped` undoes.
inline void zip(uint32x4_t x, uint32x4_t y, uint32x4_t& low, uint32x4_t& high) {
  const uint16x8_t first = vreinterpretq_u16_u32(x), second = vreinterpretq_u16_u32(y);
  low = vreinterpretq_u32_u16(vzip1q_u16(first, second));
  high = vreinterpretq_u32_u16(vzip2q_u16(first, second));
}
inline void zip(Pairs x, Pairs y, Pairs& low, Pairs& high) {
  zip(x.a, y.a, low.a, low.b);
  zip(x.b, y.b, low.c, low.d);
  zip(x.c, y.c, high.a, high.b);
  zip(x.d, y.d, high.c, high.d);
}
inline void store_zipped(float* p, F32 low, F32 high) {
  store(p, low);
  store(p + lanes, high);
}

// Rounded to the nearest; what is no number stays none.
inline uint32x4_t rounded(float32x4_t low, float32x4_t high) {
  return vreinterpretq_u32_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(low), high));
}
// 32 floats in order.
inline Pairs narrow_pairs(F32 first, F32 second) {
  return {rounded(first.a, first.b), rounded(first.c, first.d), rounded(second.a, second.b),
          rounded(second.c, second.d)};
}
inline void store_rounded_n(bf16* p, F32 x, int n) {
  bf16 part[lanes];
  bf16* to = n == lanes ? p : part;
  vst1q_u16(to, vreinterpretq_u16_u32(rounded(x.a, x.b)));
  vst1q_u16(to + 8, vreinterpretq_u16_u32(rounded(x.c, x.d)));
  if (n != lanes) std::memcpy(p, part, n * sizeof(bf16));
}
// x * 2^n for whole n <= 127, 0 where that is too small for a float with all its digits.
inline F32 scale_pow2(F32 x, F32 n) { return mul(x, pow2(max(n, set(-127.0f)))); }

}  // namespace csm::simd
