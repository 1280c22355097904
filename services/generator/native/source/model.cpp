#include "model.hpp"

#include <algorithm>
#include <cstring>

#include "vector_math.hpp"

namespace csm {

Model::Model(const ModelShape& shape_, Format format_, int threads)
    : shape(shape_),
      format(format_),
      backbone(shape_.backbone),
      depth(shape_.depth),
      heads(shape_.num_codebooks - 1),
      pool_(threads),
      scratch_(threads),
      draw_scratch_(threads) {}

size_t Model::bytes() const {
  size_t total = backbone.bytes() + depth.bytes() + lm_head.bytes() + projection.bytes();
  for (const Matrix& head : heads) total += head.bytes();
  return total;
}

// Adds a code's embedding to the columns `begin` to `end` - 1 of a row; `begin` is a multiple of
// sixteen.
void Model::add_code(int book, int64_t code, int begin, int end, float* to) const {
  const int64_t safe = std::min<int64_t>(code, shape.vocab_size - 1);
  add_row(audio_table, int64_t{book} * shape.vocab_size + safe, begin, end, to);
}

void Model::add_row(const void* table, int64_t row, int begin, int end, float* to) const {
  const int64_t at = row * shape.backbone.width;
  for (int i = begin; i < end; i += lanes) {
    const int n = std::min(lanes, end - i);
    const simd::F32 value = tables_are_bf16
                                ? simd::load_bf16_n(static_cast<const bf16*>(table) + at + i, n)
                                : simd::load_n(static_cast<const float*>(table) + at + i, n);
    simd::store_n(to + i, simd::add(simd::load_n(to + i, n), value), n);
  }
}

void Model::embed(const BackboneRows& rows, int begin, int end) {
  const int width = shape.backbone.width, books = shape.num_codebooks;
  for (int row = 0; row < rows.count; ++row) {
    float* to = backbone_activations_.x.data() + row * stride_of(width);
    // What stands behind a row is zero unless a row has gone wrong here: NaN times zero is NaN.
    if (end == width) std::fill(to + end, to + stride_of(width), 0.0f);
    std::fill(to + begin, to + end, 0.0f);
    const int64_t* frame = rows.frames + int64_t{row} * (books + 1);
    for (int book = 0; book < books; ++book)
      if (frame[book] >= 0) add_code(book, frame[book], begin, end, to);
    if (frame[books] >= 0) add_row(text_table, frame[books], begin, end, to);
  }
}

void Model::run_backbone(const BackboneRows& rows, const Cache& cache) {
  std::lock_guard<std::mutex> lock(one_caller_);
  const StackShape& stack = shape.backbone;
  for (Scratch& mine : scratch_)
    mine.reserve(rows.count, backbone.widest(), stack.head_shape(), cache.max_positions);
  backbone_activations_.reserve(rows.count, stack);

  kept_.clear();
  for (int row = 0; row < rows.count; ++row)
    if (rows.wanted[row] >= 0) kept_.push_back(row);
  const int keep = static_cast<int>(kept_.size());

  pool_.run([&](const Worker& worker) {
    Scratch& mine = scratch_[worker.index];
    const Worker::Range columns = worker.share(static_cast<int>(stride_of(stack.width)) / lanes);
    embed(rows, columns.begin * lanes, std::min(columns.end * lanes, stack.width));
    worker.meet();
    backbone.run(worker, mine, backbone_activations_, cache,
                 {rows.count, rows.slots, rows.positions, keep, kept_.data()});
    const Worker::Range part = worker.share(keep);
    for (int i = part.begin; i < part.end; ++i) {
      normalize(backbone_activations_.x.data() + i * stride_of(stack.width), backbone.norm.data(),
                stack.norm_eps, stack.width, mine.values.data());
      std::copy_n(mine.values.data(), stack.width,
                  rows.hidden + rows.wanted[kept_[i]] * stack.width);
    }
  });
}

void Model::draw_frames(const FrameRows& rows) {
  std::lock_guard<std::mutex> lock(one_caller_);
  const int count = rows.count, books = shape.num_codebooks, width = shape.backbone.width;
  const size_t stride = stride_of(width);
  const size_t widest = std::max(depth.widest(), stride);
  for (Scratch& mine : scratch_)
    mine.reserve(2 * count, widest, shape.depth.head_shape(), books);
  depth_activations_.reserve(2 * count, shape.depth);
  states_.reserve(count * stride);
  logits_.reserve(count * stride_of(shape.vocab_size));
  const size_t cache_size = size_t{1} * shape.depth.layers * count * shape.depth.kv_heads * books *
                            shape.depth.head_dim;
  depth_keys_.reserve(cache_size);
  depth_values_.reserve(cache_size);
  depth_cache_ = {depth_keys_.data(), depth_values_.data(), 0, count, books};
  pair_slots_.resize(2 * count);
  pair_positions_.resize(2 * count);
  pair_kept_.resize(count);
  single_slots_.resize(count);
  single_positions_.resize(int64_t{count} * books);
  for (int row = 0; row < count; ++row) {
    pair_slots_[2 * row] = pair_slots_[2 * row + 1] = single_slots_[row] = row;
    pair_positions_[2 * row] = 0;
    pair_positions_[2 * row + 1] = 1;
    pair_kept_[row] = 2 * row + 1;
    for (int book = 0; book < books; ++book) single_positions_[book * count + row] = book;
    std::copy_n(rows.hidden + rows.slots[row] * width, width, states_.data() + row * stride);
  }

  pool_.run([&](const Worker& worker) {
    first_codes(worker, rows);
    for (int book = 1; book < books; ++book) next_codes(worker, rows, book);
  });
}

void Model::first_codes(const Worker& worker, const FrameRows& rows) {
  Scratch& mine = scratch_[worker.index];
  const Worker::Range part = worker.share(lm_head.panels);
  const Inputs in = mine.plain(lm_head, states_.data(), rows.count);
  product(lm_head, in, rows.count, part.begin, part.end, logits_.data(),
          stride_of(shape.vocab_size), false);
  worker.meet();
  choose(worker, rows, 0);
}

// Position 0 of the depth decoder is the hidden state, position i + 1 the embedding of code i; the
// state at position i gives code i. The first pass runs the positions 0 and 1 at once.
void Model::next_codes(const Worker& worker, const FrameRows& rows, int book) {
  Scratch& mine = scratch_[worker.index];
  const bool first = book == 1;
  const int count = rows.count, per_row = first ? 2 : 1, width = shape.backbone.width;
  const size_t stride = stride_of(width), depth_stride = stride_of(shape.depth.width);

  for (int row = 0; row < count; ++row) {
    float* to = mine.values.data() + (per_row * row) * stride;
    if (first) {
      std::copy_n(states_.data() + row * stride, stride, to);
      to += stride;
    }
    std::fill_n(to, stride, 0.0f);
    const int64_t code = rows.codes[rows.slots[row] * shape.num_codebooks + book - 1];
    add_code(book - 1, code, 0, width, to);
  }
  Worker::Range part = worker.share(projection.panels);
  Inputs in = mine.plain(projection, mine.values.data(), per_row * count);
  product(projection, in, per_row * count, part.begin, part.end, depth_activations_.x.data(),
          depth_stride, false);
  worker.meet();

  const int64_t* positions = single_positions_.data() + int64_t{book} * count;
  depth.run(worker, mine, depth_activations_, depth_cache_,
            first ? StackRows{2 * count, pair_slots_.data(), pair_positions_.data(), count,
                              pair_kept_.data()}
                  : StackRows{count, single_slots_.data(), positions, count, single_slots_.data()});

  for (int row = 0; row < count; ++row)
    normalize(depth_activations_.x.data() + row * depth_stride, depth.norm.data(),
              shape.depth.norm_eps, shape.depth.width, mine.values.data() + row * depth_stride);
  const Matrix& head = heads[book - 1];
  part = worker.share(head.panels);
  in = mine.plain(head, mine.values.data(), count);
  product(head, in, count, part.begin, part.end, logits_.data(), stride_of(shape.vocab_size),
          false);
  worker.meet();
  choose(worker, rows, book);
}

void Model::choose(const Worker& worker, const FrameRows& rows, int book) {
  const Worker::Range part = worker.share(rows.count);
  for (int row = part.begin; row < part.end; ++row) {
    const int64_t slot = rows.slots[row];
    const int64_t at = slot * shape.num_codebooks + book;
    float* logits = logits_.data() + row * stride_of(shape.vocab_size);
    if (book == 0) logits[0] += rows.end_bias[slot];
    const Draw how{(book ? rows.depth_temperature : rows.temperature)[slot], rows.top_k[slot],
                   rows.top_p[slot], rows.noise + at * shape.vocab_size};
    rows.codes[at] = draw(logits, shape.codebook_size, how, draw_scratch_[worker.index]);
  }
  worker.meet();
}

}  // namespace csm
