#include "transformer.hpp"

#include <algorithm>
#include <cmath>

namespace csm {
namespace {

using simd::F32;

void fill(Buffer<float>& buffer, const float* from, int count) {
  buffer.reserve(round_up(count, lanes));
  std::memcpy(buffer.data(), from, count * sizeof(float));
}

// LayerNorm of one row of `width` floats, whatever stands behind them.
void normalize_row(const float* x, const float* weight, const float* bias, float eps, int width,
                   float* out) {
  const int whole = width / lanes * lanes, tail = width - whole;
  F32 sums = simd::zero();
  for (int i = 0; i < whole; i += lanes) sums = simd::add(sums, simd::load(x + i));
  if (tail) sums = simd::add(sums, simd::load_n(x + whole, tail));
  const float mean_value = simd::sum(sums) / static_cast<float>(width);
  const F32 mean = simd::set(mean_value);
  F32 squares = simd::zero();
  for (int i = 0; i < whole; i += lanes) {
    const F32 away = simd::sub(simd::load(x + i), mean);
    squares = simd::fma(away, away, squares);
  }
  if (tail) {
    float means[lanes];
    for (float& value : means) value = mean_value;
    const F32 away = simd::sub(simd::load_n(x + whole, tail), simd::load_n(means, tail));
    squares = simd::fma(away, away, squares);
  }
  const F32 scale =
      simd::set(1.0f / std::sqrt(simd::sum(squares) / static_cast<float>(width) + eps));
  for (int i = 0; i < width; i += lanes) {
    const int n = width - i < lanes ? width - i : lanes;
    const F32 away = simd::sub(simd::load_n(x + i, n), mean);
    const F32 y = simd::fma(simd::mul(away, scale), simd::load(weight + i), simd::load(bias + i));
    simd::store_n(out + i, y, n);
  }
}

}  // namespace

void Transformer::Linear::pack(const float* weights, const float* bias_, int outputs, int inputs,
                               Format format) {
  matrix.pack(weights, outputs, inputs, format_for(format, inputs), Order::plain);
  has_bias = bias_ != nullptr;
  if (has_bias) fill(bias, bias_, outputs);
}

Transformer::Transformer(const TransformerShape& shape, int streams, int threads, Format format)
    : heads_{shape.heads, shape.kv_heads, shape.head_dim, shape.window},
      width_(shape.width),
      ffn_width_(shape.ffn_width),
      streams_(streams),
      format_(format),
      activation_(static_cast<Activation>(shape.activation)),
      norm_eps_(shape.norm_eps),
      frequencies_(shape.frequencies, shape.frequencies + shape.head_dim / 2),
      positions_(streams, 0),
      scratch_(threads),
      rounded_(threads) {
  for (AttentionScratch& scratch : scratch_) scratch.reserve(heads_);
}

void Transformer::add_layer(const LayerWeights& weights) {
  layers_.emplace_back();
  Layer& layer = layers_.back();
  fill(layer.attention_norm, weights.attention_norm, width_);
  fill(layer.attention_norm_bias, weights.attention_norm_bias, width_);
  fill(layer.mlp_norm, weights.mlp_norm, width_);
  fill(layer.mlp_norm_bias, weights.mlp_norm_bias, width_);
  layer.qkv.pack(weights.qkv, weights.qkv_bias, heads_.qkv_width(), width_, format_);
  layer.attention_out.pack(weights.attention_out, weights.attention_out_bias, width_,
                           heads_.heads * heads_.head_dim, format_);
  layer.up.pack(weights.up, nullptr, ffn_width_, width_, format_);
  layer.down.pack(weights.down, nullptr, width_, ffn_width_, format_);
  const size_t ring =
      static_cast<size_t>(heads_.kv_heads) * heads_.window * heads_.padded_dim();
  layer.keys.reserve(streams_ * ring);
  layer.values.reserve(streams_ * ring);
}

size_t Transformer::bytes() const {
  size_t total = 0;
  for (const Layer& layer : layers_)
    total += layer.qkv.matrix.bytes() + layer.attention_out.matrix.bytes() +
             layer.up.matrix.bytes() + layer.down.matrix.bytes();
  return total;
}

void Transformer::reserve(int segments, int time) {
  const size_t rows = static_cast<size_t>(segments) * time;
  cosines_.reserve(rows * (heads_.head_dim / 2));
  sines_.reserve(rows * (heads_.head_dim / 2));
  normed_.reserve(rows * width_);
  qkv_.reserve(rows * heads_.qkv_width());
  attended_.reserve(rows * heads_.heads * heads_.head_dim);
  inner_.reserve(rows * ffn_width_);
  const int widest = std::max({width_, ffn_width_, heads_.heads * heads_.head_dim});
  if (by_pairs(format_))
    for (Buffer<bf16>& rounded : rounded_) rounded.reserve(rows * widest);
}

void Transformer::advance(const Batch& batch, int time) {
  for (int segment = 0; segment < batch.count; ++segment)
    positions_[batch.streams[segment]] += time;
}

void Transformer::run(const Worker& worker, const Batch& batch, int time, const Signal& x) {
  const auto flat = [&](Buffer<float>& buffer, int width) {
    return Signal{buffer.data(), static_cast<size_t>(time) * width};
  };
  rotations(worker, batch, time);
  for (Layer& layer : layers_) {
    normalize(worker, batch, time, x, layer.attention_norm, layer.attention_norm_bias);
    product(worker, layer.qkv, batch, time, normed_.data(), flat(qkv_, heads_.qkv_width()), false,
            Activation::none);
    attention(worker, layer, batch, time);
    product(worker, layer.attention_out, batch, time, attended_.data(), x, true,
            Activation::none);
    normalize(worker, batch, time, x, layer.mlp_norm, layer.mlp_norm_bias);
    product(worker, layer.up, batch, time, normed_.data(), flat(inner_, ffn_width_), false,
            activation_);
    product(worker, layer.down, batch, time, inner_.data(), x, true, Activation::none);
  }
}

// In double: after hours of a stream a float's angle is off by more than a hundredth.
void Transformer::rotations(const Worker& worker, const Batch& batch, int time) {
  const int half = heads_.head_dim / 2;
  const Worker::Range rows = worker.share(batch.count * time);
  for (int row = rows.begin; row < rows.end; ++row) {
    const int64_t position = positions_[batch.streams[row / time]] + row % time;
    for (int i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * frequencies_[i];
      cosines_[static_cast<size_t>(row) * half + i] = static_cast<float>(std::cos(angle));
      sines_[static_cast<size_t>(row) * half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void Transformer::normalize(const Worker& worker, const Batch& batch, int time, const Signal& x,
                            const Buffer<float>& weight, const Buffer<float>& bias) {
  const Worker::Range rows = worker.share(batch.count * time);
  for (int row = rows.begin; row < rows.end; ++row)
    normalize_row(
        x.values + row / time * x.segment_stride + static_cast<size_t>(row % time) * width_,
        weight.data(), bias.data(), norm_eps_, width_,
        normed_.data() + static_cast<size_t>(row) * width_);
  worker.meet();
}

void Transformer::product(const Worker& worker, const Linear& linear, const Batch& batch, int time,
                          const float* in, const Signal& out, bool add,
                          Activation activation) {
  Windows windows{};
  windows.values = in;
  if (by_pairs(linear.matrix.format)) {
    const size_t count = static_cast<size_t>(batch.count) * time * linear.matrix.inputs;
    bf16* rounded = rounded_[worker.index].data();
    rewrite(in, count, rounded);
    windows.rounded = rounded;
  }
  windows.segments = batch.count;
  windows.time = time;
  windows.tap_length = linear.matrix.inputs;
  windows.taps = 1;
  windows.row_stride = linear.matrix.inputs;
  windows.segment_stride = windows.row_stride * time;
  Results results{};
  results.values = out.values;
  results.segment_stride = out.segment_stride;
  results.row_stride = linear.matrix.outputs;
  results.bias = linear.has_bias ? linear.bias.data() : nullptr;
  results.add = add;
  results.activation = activation;
  multiply(worker, linear.matrix, windows, results);
  worker.meet();
}

void Transformer::attention(const Worker& worker, Layer& layer, const Batch& batch, int time) {
  const size_t ring =
      static_cast<size_t>(heads_.kv_heads) * heads_.window * heads_.padded_dim();
  const size_t qkv = static_cast<size_t>(time) * heads_.qkv_width();
  const size_t attended = static_cast<size_t>(time) * heads_.heads * heads_.head_dim;
  const size_t turns = static_cast<size_t>(time) * (heads_.head_dim / 2);
  // A stream's positions follow one another within one thread: each finds the keys before it.
  const Worker::Range mine = worker.share(batch.count * heads_.kv_heads);
  for (int item = mine.begin; item < mine.end; ++item) {
    const int segment = item / heads_.kv_heads, stream = batch.streams[segment];
    attend(heads_, Ring{layer.keys.data() + stream * ring, layer.values.data() + stream * ring},
           item % heads_.kv_heads, positions_[stream], time, qkv_.data() + segment * qkv,
           cosines_.data() + segment * turns, sines_.data() + segment * turns,
           attended_.data() + segment * attended, scratch_[worker.index]);
  }
  worker.meet();
}

}  // namespace csm
