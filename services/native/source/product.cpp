#include "product.hpp"

#include <cstring>

#include "product_squares.hpp"
#include "tile_product.hpp"
#include "vector_math.hpp"

namespace csm {
namespace {

using simd::F32;
using simd::I32;

// One step of a panel is 64 bytes in every format; a kind says how to multiply by it.
struct Fp32Kind {
  using Sum = F32;
  struct Weight {
    F32 value;
  };
  using Input = F32;
  static Sum zero() { return simd::zero(); }
  static Weight load(const uint8_t* p) { return {simd::load(reinterpret_cast<const float*>(p))}; }
  static Input input(const Inputs& in, int row, int step) {
    return simd::set(in.values[row * in.stride + step]);
  }
  static Sum accumulate(const Sum& sum, const Weight& weight, const Input& x) {
    return simd::fma(weight.value, x, sum);
  }
  static F32 finish(const Sum& sum, const Matrix&, const Inputs&, int, int) { return sum; }
};

#ifdef CSM_PAIRS
struct Bf16Kind {
  using Sum = F32;
  using Weight = simd::Pairs;
  using Input = simd::Pairs;
  static Sum zero() { return simd::zero(); }
  static Weight load(const uint8_t* p) { return simd::load_raw_pairs(p); }
  static Input input(const Inputs& in, int row, int step) {
    uint32_t both;
    std::memcpy(&both, in.bytes + (row * in.stride + 2 * step) * sizeof(bf16), sizeof(both));
    return simd::spread_pair(both);
  }
  static Sum accumulate(const Sum& sum, const Weight& weight, const Input& x) {
    return simd::dot_pairs(sum, x, weight);
  }
  static F32 finish(const Sum& sum, const Matrix&, const Inputs&, int, int) { return sum; }
};
#else
struct Bf16Kind {
  using Sum = F32;
  struct Weight {
    F32 first, second;
  };
  struct Input {
    F32 first, second;
  };
  static Sum zero() { return simd::zero(); }
  static Weight load(const uint8_t* p) {
    Weight weight;
    simd::load_pairs(p, weight.first, weight.second);
    return weight;
  }
  static Input input(const Inputs& in, int row, int step) {
    const float* x = in.values + row * in.stride + 2 * step;
    return {simd::set(x[0]), simd::set(x[1])};
  }
  static Sum accumulate(const Sum& sum, const Weight& weight, const Input& x) {
    return simd::fma(weight.second, x.second, simd::fma(weight.first, x.first, sum));
  }
  static F32 finish(const Sum& sum, const Matrix&, const Inputs&, int, int) { return sum; }
};
#endif

struct Int8Kind {
  using Sum = I32;
  using Weight = simd::Int8Block;
  using Input = decltype(simd::spread(0));
  static Sum zero() { return simd::zero_int(); }
  static Weight load(const uint8_t* p) { return simd::load_block(p); }
  static Input input(const Inputs& in, int row, int step) {
    int32_t four;
    std::memcpy(&four, in.bytes + row * in.stride + 4 * step, sizeof(four));
    return simd::spread(four);
  }
  static Sum accumulate(const Sum& sum, const Weight& weight, const Input& x) {
    return simd::dot(sum, weight, x);
  }
  static F32 finish(const Sum& sum, const Matrix& m, const Inputs& in, int row, int panel) {
    return scaled(sum, m, in, row, panel);
  }
};

struct Target {
  float* out;
  size_t stride;
  bool add;
};

// R rows times P panels, all sums in registers. Each weight is loaded once for the R rows.
template <class Kind, int R, int P>
void tile(const Matrix& m, const Inputs& in, int row, int panel, const Target& to) {
  typename Kind::Sum sums[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) sums[r][p] = Kind::zero();
  const size_t panel_bytes = m.panel_bytes();
  const uint8_t* from = m.weights.data() + panel * panel_bytes;
  const int steps = m.steps;
  for (int step = 0; step < steps; ++step, from += step_bytes) {
    typename Kind::Weight weights[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      if constexpr (R > 1) __builtin_prefetch(from + p * panel_bytes + ahead_bytes, 0, 2);
      weights[p] = Kind::load(from + p * panel_bytes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const typename Kind::Input x = Kind::input(in, row + r, step);
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) sums[r][p] = Kind::accumulate(sums[r][p], weights[p], x);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      float* out = to.out + (row + r) * to.stride + (panel + p) * lanes;
      F32 value = Kind::finish(sums[r][p], m, in, row + r, panel + p);
      if (to.add) value = simd::add(simd::load(out), value);
      simd::store(out, value);
    }
}

constexpr int max_rows = simd::sum_budget >= 8 ? 8 : simd::sum_budget >= 4 ? 4 : 2;

// As many panels at a time as the registers hold, up to four, so that few rows still keep the
// multipliers busy.
constexpr int panels_at_once(int rows) {
  return rows * 4 <= simd::sum_budget ? 4 : rows * 2 <= simd::sum_budget ? 2 : 1;
}

template <class Kind, int R>
void tiles(const Matrix& m, const Inputs& in, int rows, int row, int panel, int count,
           const Target& to) {
  if constexpr (R > 1) {
    if (rows < R) return tiles<Kind, R - 1>(m, in, rows, row, panel, count, to);
  }
  constexpr int P = panels_at_once(R);
  int done = 0;
  for (; done + P <= count; done += P) tile<Kind, R, P>(m, in, row, panel + done, to);
  for (; done < count; ++done) tile<Kind, R, 1>(m, in, row, panel + done, to);
}

// One row goes by `tile`.
#ifdef CSM_SQUARES
template <class Kind>
void run_squares(const Matrix& m, const Inputs& in, int rows, int begin, int end,
                 const Target& to) {
  for (int panel = begin; panel < end; ++panel) {
    const auto store = [&](int row, F32 value) {
      float* out = to.out + row * to.stride + panel * lanes;
      simd::store(out, to.add ? simd::add(simd::load(out), value) : value);
    };
    for (int row = 0; row < rows; row += rows_of_squares)
      squares_of_at_most<Kind, rows_of_squares>(m, in, rows - row, row, panel, store);
  }
}
#endif

template <class Kind>
void run(const Matrix& m, const Inputs& in, int rows, int begin, int end, const Target& to) {
  // Rows inside, panels outside: four panels stay in the cache while all rows pass.
  constexpr int group = 4;
  for (int panel = begin; panel < end; panel += group) {
    const int count = end - panel < group ? end - panel : group;
    for (int row = 0; row < rows; row += max_rows)
      tiles<Kind, max_rows>(m, in, rows - row, row, panel, count, to);
  }
}

}  // namespace

void product(const Matrix& matrix, const Inputs& inputs, int rows, int begin, int end, float* out,
             size_t out_stride, bool add) {
#ifdef CSM_TILES
  if (goes_by_tiles(matrix, rows))
    return product_by_tiles(matrix, inputs, rows, begin, end, out, out_stride, add);
#endif
  const Target to{out, out_stride, add};
#ifdef CSM_SQUARES
  if (rows > 1 && matrix.format == Format::bf16)
    return run_squares<Bf16Kind>(matrix, inputs, rows, begin, end, to);
  if (rows > 1 && matrix.format == Format::int8)
    return run_squares<Int8Kind>(matrix, inputs, rows, begin, end, to);
#endif
  switch (matrix.format) {
    case Format::fp32:
      return run<Fp32Kind>(matrix, inputs, rows, begin, end, to);
    case Format::bf16:
      return run<Bf16Kind>(matrix, inputs, rows, begin, end, to);
    case Format::int8:
      return run<Int8Kind>(matrix, inputs, rows, begin, end, to);
  }
}

Inputs prepared(const Matrix& matrix, const float* values, int rows, size_t stride, uint8_t* bytes,
                float* scales) {
  Inputs inputs{values, stride, bytes, scales};
  if (matrix.format == Format::int8)
    quantize(values, rows, matrix.inputs, stride, bytes, scales);
  if (by_pairs(matrix.format))
    for (int row = 0; row < rows; ++row)
      // The zeros behind a row too: they are the second of its last pair.
      rewrite(values + row * stride, round_up(matrix.inputs, lanes),
              reinterpret_cast<bf16*>(bytes) + row * stride);
  return inputs;
}

void quantize(const float* values, int rows, int width, size_t stride, uint8_t* bytes,
              float* scales) {
  for (int row = 0; row < rows; ++row) {
    const float* x = values + row * stride;
    F32 largest = simd::zero(), wrong = simd::zero();
    for (int k = 0; k < width; k += lanes) {
      const F32 v = simd::load(x + k);
      largest = simd::max(largest, simd::abs(v));
      // Stays zero but for NaN and infinity, which bytes cannot show: the scale does.
      wrong = simd::fma(v, simd::zero(), wrong);
    }
    const float top = simd::largest(largest);
    // Below this the inverse would overflow; such a row is zeros to any product.
    const bool some = top > 1e-30f;
    scales[row] = (some ? top / 127.0f : 0.0f) + simd::sum(wrong);
    const F32 inverse = simd::set(some ? 127.0f / top : 0.0f);
    for (int k = 0; k < width; k += lanes)
      simd::store_int8(bytes + row * stride + k, simd::mul(simd::load(x + k), inverse));
  }
}

}  // namespace csm
