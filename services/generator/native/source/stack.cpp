#include "stack.hpp"

#include <algorithm>

#include "vector_math.hpp"

namespace csm {

void Scratch::reserve(int rows, size_t widest, const HeadShape& heads, int max_positions) {
  values.reserve(rows * widest);
  bytes.reserve(rows * widest * bytes_of_input);
  scales.reserve(rows);
  attention.reserve(heads, max_positions);
}

Inputs Scratch::plain(const Matrix& matrix, const float* x, int rows) {
  return prepared(matrix, x, rows, stride_of(matrix.inputs), bytes.data(), scales.data());
}

Inputs Scratch::normalized(const Matrix& matrix, const float* x, int rows, const float* weight,
                           float eps) {
  const size_t stride = stride_of(matrix.inputs);
  for (int row = 0; row < rows; ++row)
    normalize(x + row * stride, weight, eps, matrix.inputs, values.data() + row * stride);
  return plain(matrix, values.data(), rows);
}

void Activations::reserve(int rows, const StackShape& shape) {
  x.reserve(rows * stride_of(shape.width));
  qkv.reserve(rows * stride_of(shape.qkv_width()));
  attended.reserve(rows * stride_of(shape.attended_width()));
  gate_up.reserve(rows * 2 * stride_of(shape.ffn_width));
  gated.reserve(rows * stride_of(shape.ffn_width));
}

Stack::Stack(const StackShape& shape_) : shape(shape_), layers(shape_.layers) {
  const size_t angles = static_cast<size_t>(shape.max_positions) * (shape.head_dim / 2);
  cosines.reserve(angles);
  sines.reserve(angles);
  norm.reserve(stride_of(shape.width));
  for (Layer& layer : layers) {
    layer.attention_norm.reserve(stride_of(shape.width));
    layer.mlp_norm.reserve(stride_of(shape.width));
  }
}

size_t Stack::widest() const {
  return stride_of(std::max({shape.width, shape.attended_width(), shape.ffn_width}));
}

size_t Stack::bytes() const {
  size_t total = 0;
  for (const Layer& layer : layers)
    for (const Matrix* m : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down})
      total += m->bytes();
  return total;
}

void Stack::run(const Worker& worker, Scratch& mine, Activations& all, const Cache& cache,
                const StackRows& rows) const {
  for (int layer = 0; layer < shape.layers; ++layer) {
    attention(worker, mine, all, cache, layer, rows);
    const int left = layer + 1 < shape.layers ? rows.count : rows.keep;
    if (left) feed_forward(worker, mine, all, layers[layer], left);
  }
}

void Stack::attention(const Worker& worker, Scratch& mine, Activations& all, const Cache& cache,
                      int index, const StackRows& rows) const {
  const Layer& layer = layers[index];
  const HeadShape heads = shape.head_shape();
  const size_t qkv_stride = stride_of(shape.qkv_width());
  const size_t attended_stride = stride_of(shape.attended_width());
  const size_t x_stride = stride_of(shape.width);
  auto place = [&](int row, int kv_head) {
    return Place{index, static_cast<int>(rows.slots[row]), static_cast<int>(rows.positions[row]),
                 kv_head};
  };

  Worker::Range part = worker.share(layer.qkv.panels);
  Inputs in = mine.normalized(layer.qkv, all.x.data(), rows.count, layer.attention_norm.data(),
                              shape.norm_eps);
  product(layer.qkv, in, rows.count, part.begin, part.end, all.qkv.data(), qkv_stride, false);
  worker.meet();

  part = worker.share(rows.count * shape.kv_heads);
  for (int pair = part.begin; pair < part.end; ++pair) {
    const int row = pair % rows.count;
    const size_t angle = rows.positions[row] * (shape.head_dim / 2);
    remember(cache, heads, place(row, pair / rows.count), all.qkv.data() + row * qkv_stride,
             cosines.data() + angle, sines.data() + angle);
  }
  // A row attends to rows of its own slot that another thread may hold.
  worker.meet();

  const bool last = index + 1 == shape.layers;
  const int left = last ? rows.keep : rows.count;
  if (!left) return;
  const auto row_of = [&](int to) { return last ? static_cast<int>(rows.kept[to]) : to; };
  // One kv head after the other: rows of one slot read the same keys.
  part = worker.share(left * shape.kv_heads);
  mine.attention.forget();
  for (int pair = part.begin; pair < part.end;) {
    const int first = pair % left, kv_head = pair / left;
    Attending together[most_together];
    int count = 0;
    do {
      const int to = first + count, row = row_of(to);
      if (rows.slots[row] != rows.slots[row_of(first)]) break;
      together[count++] = {static_cast<int>(rows.positions[row]),
                           all.qkv.data() + row * qkv_stride,
                           all.attended.data() + to * attended_stride};
    } while (count < most_together && first + count < left && pair + count < part.end);
    attend(cache, heads, place(row_of(first), kv_head), together, count, mine.attention);
    pair += count;
  }
  if (last && worker.index == 0)
    for (int to = 0; to < left; ++to) {
      const float* kept = all.x.data() + rows.kept[to] * x_stride;
      if (rows.kept[to] != to) std::copy_n(kept, x_stride, all.x.data() + to * x_stride);
    }
  worker.meet();

  part = worker.share(layer.attention_out.panels);
  in = mine.plain(layer.attention_out, all.attended.data(), left);
  product(layer.attention_out, in, left, part.begin, part.end, all.x.data(), x_stride, true);
  worker.meet();
}

void Stack::feed_forward(const Worker& worker, Scratch& mine, Activations& all, const Layer& layer,
                         int rows) const {
  const size_t gated_stride = stride_of(shape.ffn_width), both_stride = 2 * gated_stride;
  const Worker::Range pairs = worker.share(layer.gate_up.panels / 2);
  Inputs in =
      mine.normalized(layer.gate_up, all.x.data(), rows, layer.mlp_norm.data(), shape.norm_eps);
  product(layer.gate_up, in, rows, 2 * pairs.begin, 2 * pairs.end, all.gate_up.data(), both_stride,
          false);
  for (int row = 0; row < rows; ++row)
    for (int pair = pairs.begin; pair < pairs.end; ++pair) {
      const float* gate = all.gate_up.data() + row * both_stride + 2 * pair * lanes;
      const simd::F32 product = simd::mul(silu(simd::load(gate)), simd::load(gate + lanes));
      simd::store(all.gated.data() + row * gated_stride + pair * lanes, product);
    }
  worker.meet();

  const Worker::Range part = worker.share(layer.down.panels);
  in = mine.plain(layer.down, all.gated.data(), rows);
  product(layer.down, in, rows, part.begin, part.end, all.x.data(), stride_of(shape.width), true);
  worker.meet();
}

}  // namespace csm
