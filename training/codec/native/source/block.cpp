#include "block.hpp"

#include <algorithm>
#include <vector>

#include "buffer.hpp"
#include "turn.hpp"
#include "vector_math.hpp"

namespace csm {
namespace {

// Outputs that are summed at once, and taps whose gradients are.
constexpr int outputs_at_once = 4, rows_at_once = 2, taps_at_once = 3;
// Floats of a tile of all channels: a few such tiles stay in a second-level cache.
constexpr int64_t tile_floats = 1 << 14;

int64_t padded(int64_t n) { return (n + lanes - 1) / lanes * lanes; }

// Weights in the order in which `products` reads them, [outputs / 4, inputs, taps, 4]; `of` gives
// the weight of an output, an input and a tap.
template <class Of>
void pack(int outputs, int inputs, int taps, Buffer<float>& to, const Of& of) {
  to.reserve(size_t(outputs) * inputs * taps);
  float* p = to.data();
  for (int o = 0; o < outputs; o += outputs_at_once)
    for (int i = 0; i < inputs; ++i)
      for (int k = 0; k < taps; ++k)
        for (int j = 0; j < outputs_at_once; ++j) *p++ = of(o + j, i, k);
}

// out[o][t] = bias[o] + the sum over inputs and taps of weight * in[i][t + tap * step], for t below
// n, a multiple of sixteen; `step` may be negative. `finish(o, t, sum)` stores.
template <class Finish>
void products(const float* weights, const float* bias, const float* in, int64_t in_stride,
              int inputs, int taps, int64_t step, int outputs, int64_t n, const Finish& finish) {
  using namespace simd;
  for (int o = 0; o < outputs; o += outputs_at_once) {
    const float* block = weights + size_t(o) * inputs * taps;
    for (int64_t t = 0; t < n; t += lanes) {
      F32 sums[outputs_at_once];
      for (int j = 0; j < outputs_at_once; ++j) sums[j] = bias ? set(bias[o + j]) : zero();
      const float* w = block;
      for (int i = 0; i < inputs; ++i) {
        const float* place = in + i * in_stride + t;
        for (int k = 0; k < taps; ++k, place += step, w += outputs_at_once) {
          const F32 x = load(place);
          for (int j = 0; j < outputs_at_once; ++j) sums[j] = fma(set(w[j]), x, sums[j]);
        }
      }
      for (int j = 0; j < outputs_at_once; ++j) finish(o + j, t, sums[j]);
    }
  }
}

// sums[row][tap] += over t below n of a[row][t] * b[tap][t]
template <int Taps>
void correlate(const float* a, int64_t a_stride, const float* const* b, int64_t n,
               float (*sums)[taps_at_once]) {
  using namespace simd;
  F32 found[rows_at_once][Taps];
  for (auto& row : found)
    for (auto& sum : row) sum = zero();
  for (int64_t t = 0; t < n; t += lanes) {
    const F32 first = load(a + t), second = load(a + a_stride + t);
    for (int k = 0; k < Taps; ++k) {
      const F32 x = load(b[k] + t);
      found[0][k] = fma(first, x, found[0][k]);
      found[1][k] = fma(second, x, found[1][k]);
    }
  }
  for (int r = 0; r < rows_at_once; ++r)
    for (int k = 0; k < Taps; ++k) sums[r][k] = sum(found[r][k]);
}

// gradients[row * taps + tap] += over t of a[row][t] * b[tap][t]
void correlate_all(const float* a, int64_t a_stride, int rows, const std::vector<const float*>& b,
                   int64_t n, float* gradients) {
  const int taps = int(b.size());
  for (int r = 0; r < rows; r += rows_at_once) {
    for (int k = 0; k < taps; k += taps_at_once) {
      float sums[rows_at_once][taps_at_once] = {};
      const int count = std::min(taps_at_once, taps - k);
      const float* place = a + r * a_stride;
      if (count == 3) correlate<3>(place, a_stride, &b[k], n, sums);
      if (count == 2) correlate<2>(place, a_stride, &b[k], n, sums);
      if (count == 1) correlate<1>(place, a_stride, &b[k], n, sums);
      for (int i = 0; i < rows_at_once; ++i)
        for (int j = 0; j < count; ++j) gradients[int64_t(r + i) * taps + k + j] += sums[i][j];
    }
  }
}

simd::F32 elu(simd::F32 x) {
  using namespace simd;
  return add(max(x, zero()), exp_less_one(min(x, zero())));
}

// The slope of elu where it gave y: one above zero, y + 1 below.
simd::F32 slope(simd::F32 y) {
  using namespace simd;
  return add(min(y, zero()), set(1.0f));
}

// What both directions hold of a tile, and their weights.
class Tile {
 public:
  Tile(const BlockShape& shape, const BlockWeights& weights)
      : shape_(shape), weights_(weights), context_((shape.kernel - 1) * shape.dilation) {
    size_ = std::max<int64_t>(padded(tile_floats / shape.channels), padded(context_));
    stride_ = size_ + padded(context_) + lanes;
    const int c = shape.channels, h = shape.hidden, k = shape.kernel;
    heard_.reserve(size_t(c) * stride_);
    inner_.reserve(size_t(h) * stride_);
    pack(h, c, k, inner_weights_,
         [&](int o, int i, int tap) { return weights.inner[(size_t(o) * k + tap) * c + i]; });
  }

  int64_t size() const { return size_; }

  // heard_ = elu(x) and its past, inner_ = elu(inner(heard_)), both [channels, time], for the n
  // moments from `start`; what lies beyond them up to sixteen is silence.
  void hear(const float* x, int64_t start, int64_t n) {
    const int c = shape_.channels;
    const int64_t past = std::min<int64_t>(context_, start);
    const int64_t lead = context_ - past, all = context_ + padded(n);
    for (int i = 0; i < c; ++i) {
      float* row = heard_.data() + i * stride_;
      std::fill(row, row + lead, 0.0f);
      std::fill(row + context_ + n, row + padded(all), 0.0f);
    }
    turn(x + (start - past) * c, c, past + n, c, heard_.data() + lead, stride_);
    for (int i = 0; i < c; ++i) {
      float* row = heard_.data() + i * stride_;
      for (int64_t t = 0; t < all; t += lanes) simd::store(row + t, elu(simd::load(row + t)));
    }
    products(inner_weights_.data(), weights_.inner_bias, heard_.data(), stride_, c, shape_.kernel,
             shape_.dilation, shape_.hidden, padded(n),
             [&](int o, int64_t t, simd::F32 sum) { simd::store(inner(o) + t, elu(sum)); });
  }

  // The present of a channel; its past lies before.
  float* heard(int channel) { return heard_.data() + channel * stride_ + context_; }
  float* inner(int channel) { return inner_.data() + channel * stride_; }

  int64_t context() const { return context_; }
  int64_t stride() const { return stride_; }

 private:
  const BlockShape shape_;
  const BlockWeights weights_;
  int64_t context_, size_, stride_;
  Buffer<float> heard_, inner_, inner_weights_;
};

}  // namespace

void block_forward(const BlockShape& shape, const BlockWeights& weights, const float* x,
                   int64_t rows, int64_t time, float* y) {
  const int c = shape.channels, h = shape.hidden;
  Tile tile(shape, weights);
  const int64_t stride = tile.stride();
  Buffer<float> outer_weights, out;
  pack(c, h, 1, outer_weights,
       [&](int o, int i, int) { return weights.outer[size_t(o) * h + i]; });
  out.reserve(size_t(c) * stride);
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = x + row * time * c;
    float* to = y + row * time * c;
    for (int64_t start = 0; start < time; start += tile.size()) {
      const int64_t n = std::min(tile.size(), time - start);
      tile.hear(from, start, n);
      products(outer_weights.data(), weights.outer_bias, tile.inner(0), stride, h, 1, 1, c,
               padded(n), [&](int o, int64_t t, simd::F32 sum) {
                 simd::store(out.data() + o * stride + t, sum);
               });
      turn(out.data(), stride, c, n, to + start * c, c);
      for (int64_t i = start * c; i < (start + n) * c; ++i) to[i] += from[i];
    }
  }
}

void block_backward(const BlockShape& shape, const BlockWeights& weights, const float* x,
                    const float* dy, int64_t rows, int64_t time, float* dx,
                    const BlockGradients& gradients) {
  using namespace simd;
  const int c = shape.channels, h = shape.hidden, k = shape.kernel;
  const int64_t dilation = shape.dilation;
  Tile tile(shape, weights);
  const int64_t stride = tile.stride(), context = tile.context();
  Buffer<float> outer_back, inner_back, after, after_inner, before, inner_gradient;
  pack(h, c, 1, outer_back,
       [&](int o, int i, int) { return weights.outer[size_t(i) * h + o]; });
  // The last tap is the present.
  pack(c, h, k, inner_back, [&](int o, int i, int tap) {
    return weights.inner[(size_t(i) * k + (k - 1 - tap)) * c + o];
  });
  after.reserve(size_t(c) * stride);
  after_inner.reserve(size_t(h) * stride);
  before.reserve(size_t(c) * stride);
  // By channel, then tap, as the pointers below are listed.
  inner_gradient.reserve(size_t(h) * c * k);
  std::vector<const float*> heard, inner;
  for (int i = 0; i < c; ++i)
    for (int tap = 0; tap < k; ++tap)
      heard.push_back(tile.heard(i) - context + tap * dilation);
  for (int i = 0; i < h; ++i) inner.push_back(tile.inner(i));
  const int64_t last = (time - 1) / tile.size() * tile.size();
  for (int64_t row = 0; row < rows; ++row) {
    const float *from = x + row * time * c, *given = dy + row * time * c;
    float* to = dx + row * time * c;
    // From the end: what a moment gets from those after it is known by then.
    for (int64_t start = last; start >= 0; start -= tile.size()) {
      const int64_t n = std::min(tile.size(), time - start), whole = padded(n);
      tile.hear(from, start, n);
      turn(given + start * c, c, n, c, after.data(), stride);
      for (int i = 0; i < h; ++i) {
        float* p = after_inner.data() + i * stride;
        if (start == last)
          std::fill(p + n, p + whole + context, 0.0f);
        else
          std::copy(p, p + context, p + n);
      }
      for (int i = 0; i < c; ++i) {
        float* p = after.data() + i * stride;
        std::fill(p + n, p + whole, 0.0f);
        F32 total = zero();
        for (int64_t t = 0; t < n; t += lanes) total = add(total, load(p + t));
        gradients.outer_bias[i] += sum(total);
      }
      correlate_all(after.data(), stride, c, inner, whole, gradients.outer);
      products(outer_back.data(), nullptr, after.data(), stride, c, 1, 1, h, whole,
               [&](int o, int64_t t, F32 sum) {
                 const F32 slopes = slope(load(tile.inner(o) + t));
                 const int count = int(std::min<int64_t>(lanes, n - t));
                 store_n(after_inner.data() + o * stride + t, mul(sum, slopes), count);
               });
      for (int i = 0; i < h; ++i) {
        const float* p = after_inner.data() + i * stride;
        F32 total = zero();
        for (int64_t t = 0; t < whole; t += lanes) total = add(total, load(p + t));
        gradients.inner_bias[i] += sum(total);
      }
      // Past the end of the row both are zeros, and the end of no other tile is cut.
      correlate_all(after_inner.data(), stride, h, heard, whole, inner_gradient.data());
      products(inner_back.data(), nullptr, after_inner.data(), stride, h, k, dilation, c, whole,
               [&](int o, int64_t t, F32 sum) {
                 const F32 slopes = slope(load(tile.heard(o) + t));
                 store(before.data() + o * stride + t, mul(sum, slopes));
               });
      turn(before.data(), stride, c, n, to + start * c, c);
      for (int64_t i = start * c; i < (start + n) * c; ++i) to[i] += given[i];
    }
  }
  for (int o = 0; o < h; ++o)
    for (int i = 0; i < c; ++i)
      for (int tap = 0; tap < k; ++tap)
        gradients.inner[(size_t(o) * k + tap) * c + i] +=
            inner_gradient[(size_t(o) * c + i) * k + tap];
}

}  // namespace csm
