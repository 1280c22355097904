// The causal transformer on either side of the quantizer.
#pragma once

#include <vector>

#include "attention.hpp"
#include "convolution.hpp"

namespace csm {

// What Python hands over; library.py has the same.
struct TransformerShape {
  int32_t width;
  int32_t ffn_width;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t window;
  int32_t activation;
  float norm_eps;
  const double* frequencies;  // [head_dim / 2], radians a position
};

// Pointers to fp32 weights [outputs, inputs]; biases may be null. LayerScale is part of
// attention_out and down already.
struct LayerWeights {
  const float* attention_norm;
  const float* attention_norm_bias;
  const float* qkv;
  const float* qkv_bias;
  const float* attention_out;
  const float* attention_out_bias;
  const float* mlp_norm;
  const float* mlp_norm_bias;
  const float* up;
  const float* down;
};

class Transformer {
 public:
  Transformer(const TransformerShape& shape, int streams, int threads, Format format);

  void add_layer(const LayerWeights& weights);

  void reserve(int segments, int time);
  void reset(int stream) { positions_[stream] = 0; }
  // After a step, by one thread.
  void advance(const Batch& batch, int time);
  int width() const { return width_; }
  size_t bytes() const;

  // By all workers at once: x [segments, time, width] through all layers, in place. Ends with all
  // workers met.
  void run(const Worker& worker, const Batch& batch, int time, const Signal& x);

 private:
  struct Linear {
    Matrix matrix;
    Buffer<float> bias;
    bool has_bias = false;
    void pack(const float* weights, const float* bias, int outputs, int inputs, Format format);
  };
  struct Layer {
    Buffer<float> attention_norm, attention_norm_bias, mlp_norm, mlp_norm_bias;
    Linear qkv, attention_out, up, down;
    Buffer<float> keys, values;  // [streams, kv_heads, window, padded_dim]
  };

  void rotations(const Worker& worker, const Batch& batch, int time);
  void normalize(const Worker& worker, const Batch& batch, int time, const Signal& x,
                 const Buffer<float>& weight, const Buffer<float>& bias);
  void product(const Worker& worker, const Linear& linear, const Batch& batch, int time,
               const float* in, const Signal& out, bool add, Activation activation);
  void attention(const Worker& worker, Layer& layer, const Batch& batch, int time);

  const HeadShape heads_;
  const int width_, ffn_width_, streams_;
  const Format format_;
  const Activation activation_;
  const float norm_eps_;
  std::vector<double> frequencies_;
  std::vector<Layer> layers_;
  std::vector<int64_t> positions_;  // of each stream: how many it has seen
  std::vector<AttentionScratch> scratch_;
  // By thread: a product's inputs in bf16. Each rounds all rows for itself: of a streamed frame
  // that is less than a meeting.
  std::vector<Buffer<bf16>> rounded_;
  Buffer<float> cosines_, sines_;  // [segments, time, head_dim / 2]
  Buffer<float> normed_, qkv_, attended_, inner_;
};

}  // namespace csm
