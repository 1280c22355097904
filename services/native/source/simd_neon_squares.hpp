// ARM's products of two rows by two outputs, of int8 and of bf16: CSM_SQUARES says that what follows
// is there. Twice the multiplications of `dot` and `dot_pairs`, and the same bits: int8 is exact, and
// a square of bf16 is defined as two sums of pairs, one after the other.
#pragma once

#define CSM_SQUARES 1

namespace csm::simd {

// A square takes the inputs of two steps of a panel.
constexpr int steps_at_once = 2;

// Sums of two rows and sixteen outputs: each of `part` holds two outputs of the one row, then of the
// other.
template <class Four>
struct Squares {
  Four part[8];
};

inline void multiply(int32x4_t& sums, uint32x4_t inputs, uint32x4_t weights) {
  sums = vmmlaq_s32(sums, vreinterpretq_s8_u32(inputs), vreinterpretq_s8_u32(weights));
}
// vbfmmlaq_f32; see dot_pairs.
inline void multiply(float32x4_t& sums, uint32x4_t inputs, uint32x4_t weights) {
  asm("bfmmla %0.4s, %1.8h, %2.8h" : "+w"(sums) : "w"(inputs), "w"(weights));
}

// Two steps of two rows, eight bytes each.
inline uint32x4_t load_inputs(const uint8_t* first, const uint8_t* second) {
  return vreinterpretq_u32_u8(vcombine_u8(vld1_u8(first), vld1_u8(second)));
}

// sums[t] += two steps of a panel, `weights` and what follows, times two rows each.
template <class Four, int T>
inline void add_squares(Squares<Four> (&sums)[T], const uint32x4_t (&inputs)[T],
                        const uint8_t* weights) {
  const uint32_t* even = reinterpret_cast<const uint32_t*>(weights);
  const uint32_t* odd = even + lanes;
#pragma GCC unroll 4
  for (int quarter = 0; quarter < 4; ++quarter) {
    const uint32x4_t x = vld1q_u32(even + 4 * quarter), y = vld1q_u32(odd + 4 * quarter);
    const uint32x4_t low = vzip1q_u32(x, y), high = vzip2q_u32(x, y);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      multiply(sums[t].part[2 * quarter], inputs[t], low);
      multiply(sums[t].part[2 * quarter + 1], inputs[t], high);
    }
  }
}

// The one row of sixteen outputs, or the other.
inline float32x4_t halves(float32x4_t x, float32x4_t y, bool second) {
  const float64x2_t a = vreinterpretq_f64_f32(x), b = vreinterpretq_f64_f32(y);
  return vreinterpretq_f32_f64(second ? vzip2q_f64(a, b) : vzip1q_f64(a, b));
}
inline F32 row_of(const Squares<float32x4_t>& sums, bool second) {
  const float32x4_t* x = sums.part;
  return {halves(x[0], x[1], second), halves(x[2], x[3], second), halves(x[4], x[5], second),
          halves(x[6], x[7], second)};
}
inline int32x4_t halves(int32x4_t x, int32x4_t y, bool second) {
  const int64x2_t a = vreinterpretq_s64_s32(x), b = vreinterpretq_s64_s32(y);
  return vreinterpretq_s32_s64(second ? vzip2q_s64(a, b) : vzip1q_s64(a, b));
}
inline I32 row_of(const Squares<int32x4_t>& sums, bool second) {
  const int32x4_t* x = sums.part;
  return {halves(x[0], x[1], second), halves(x[2], x[3], second), halves(x[4], x[5], second),
          halves(x[6], x[7], second)};
}

inline float32x4_t four_zeros(F32) { return vdupq_n_f32(0.0f); }
inline int32x4_t four_zeros(I32) { return vdupq_n_s32(0); }

}  // namespace csm::simd
