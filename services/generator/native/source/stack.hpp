// A Llama stack over single positions: any number of rows, each with its slot and position.
//
// A decode step is one row a slot; a prefill is many rows of one slot; the depth decoder's first
// pass is two rows a slot. One way for all of them, so that a position's numbers do not depend on
// how it came in.
#pragma once

#include <vector>

#include "attention.hpp"
#include "pool.hpp"
#include "product.hpp"

namespace csm {

struct StackShape {
  int32_t layers;
  int32_t heads;
  int32_t kv_heads;
  int32_t width;
  int32_t head_dim;
  int32_t ffn_width;
  int32_t max_positions;
  float norm_eps;

  HeadShape head_shape() const { return {heads, kv_heads, head_dim}; }
  int qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
  int attended_width() const { return heads * head_dim; }
};

inline size_t stride_of(int width) { return round_up(width, lanes); }

// One thread's own memory: what it makes of its inputs before a product. Every thread normalises
// and quantises all rows for itself, which costs less than meeting once more.
struct Scratch {
  Buffer<float> values;
  Buffer<uint8_t> bytes;
  Buffer<float> scales;
  AttentionScratch attention;

  void reserve(int rows, size_t widest, const HeadShape& heads, int max_positions);

  // The rows of x as inputs of `matrix`.
  Inputs plain(const Matrix& matrix, const float* x, int rows);
  // The same, after RMSNorm.
  Inputs normalized(const Matrix& matrix, const float* x, int rows, const float* weight, float eps);
};

// What all threads read and write between two barriers. x comes in and goes out.
struct Activations {
  Buffer<float> x, qkv, attended, gate_up, gated;

  void reserve(int rows, const StackShape& shape);
};

// What runs through a stack together, and what is wanted of it.
struct StackRows {
  int count;
  const int64_t* slots;  // rows of one slot stand in the order of positions
  const int64_t* positions;
  // Rows whose states are wanted, rising: `keep` of them. The last layer only writes the keys and
  // values of the others.
  int keep;
  const int64_t* kept;
};

struct Layer {
  Buffer<float> attention_norm, mlp_norm;
  Matrix qkv, attention_out, gate_up, down;
};

class Stack {
 public:
  explicit Stack(const StackShape& shape);

  const StackShape shape;
  std::vector<Layer> layers;
  Buffer<float> norm;
  // [max_positions, head_dim / 2]
  Buffer<float> cosines, sines;

  // The widest input of any of its products.
  size_t widest() const;
  size_t bytes() const;

  // Runs by every worker of a pool at once: activations.x [rows, width] through all layers, before
  // the final norm, to [keep, width]. Ends with all workers met.
  void run(const Worker& worker, Scratch& mine, Activations& all, const Cache& cache,
           const StackRows& rows) const;

 private:
  void attention(const Worker& worker, Scratch& mine, Activations& all, const Cache& cache,
                 int layer, const StackRows& rows) const;
  void feed_forward(const Worker& worker, Scratch& mine, Activations& all, const Layer& layer,
                    int rows) const;
};

}  // namespace csm
