#include "quantizer.hpp"

#include <algorithm>

namespace csm {
namespace {

Windows rows_of(const float* values, int rows, int length, size_t stride) {
  Windows in{};
  in.values = values;
  in.segments = 1;
  in.time = rows;
  in.row_stride = stride;
  in.tap_length = length;
  in.taps = 1;
  return in;
}

Results rows_to(float* values, size_t stride) {
  Results out{};
  out.values = values;
  out.row_stride = stride;
  return out;
}

}  // namespace

Quantizer::Quantizer(const QuantizerShape& shape, bool encodes)
    : width_(shape.width),
      dim_(shape.dim),
      size_(shape.size),
      semantic_(shape.semantic),
      codebooks_(shape.codebooks),
      projects_(shape.input_proj || shape.output_proj),
      semantic_books_(shape.semantic_books),
      acoustic_books_(shape.acoustic_books) {
  if (!encodes) {
    if (projects_)
      projection_.pack(shape.output_proj, width_, 2 * dim_, Format::fp32, Order::plain);
    return;
  }
  if (projects_) projection_.pack(shape.input_proj, 2 * dim_, width_, Format::fp32, Order::plain);
  books_.resize(codebooks_);
  half_norms_.resize(codebooks_);
  for (int index = 0; index < codebooks_; ++index) {
    books_[index].pack(book(index), size_, dim_, Format::fp32, Order::plain);
    half_norms_[index].reserve(round_up(size_, lanes));
    for (int code = 0; code < size_; ++code)
      half_norms_[index][code] = -shape.half_norms[static_cast<size_t>(index) * size_ + code];
  }
}

const float* Quantizer::book(int index) const {
  const size_t floats = static_cast<size_t>(size_) * dim_;
  return index < semantic_ ? semantic_books_ + index * floats
                           : acoustic_books_ + (index - semantic_) * floats;
}

void Quantizer::reserve(int rows) {
  parts_.reserve(static_cast<size_t>(rows) * 2 * dim_);
  if (!books_.empty()) scores_.reserve(static_cast<size_t>(rows) * size_);
}

size_t Quantizer::bytes() const {
  size_t total = projection_.bytes();
  for (const Matrix& book : books_) total += book.bytes();
  return total;
}

void Quantizer::decode(const Worker& worker, int rows, const int64_t* codes, int given,
                       float* latents) {
  const Worker::Range mine = worker.share(rows);
  for (int row = mine.begin; row < mine.end; ++row) {
    float* parts = parts_.data() + static_cast<size_t>(row) * 2 * dim_;
    std::fill_n(parts, 2 * dim_, 0.0f);
    for (int index = 0; index < given; ++index) {
      float* to = index < semantic_ ? parts : parts + dim_;
      const int64_t code = codes[static_cast<size_t>(row) * given + index];
      const float* word = book(index) + code * dim_;
      for (int i = 0; i < dim_; ++i) to[i] += word[i];
    }
    if (!projects_)
      for (int i = 0; i < width_; ++i)
        latents[static_cast<size_t>(row) * width_ + i] = parts[i] + parts[dim_ + i];
  }
  worker.meet();
  if (!projects_) return;
  multiply(worker, projection_, rows_of(parts_.data(), rows, 2 * dim_, 2 * dim_),
           rows_to(latents, width_));
  worker.meet();
}

void Quantizer::encode(const Worker& worker, int rows, const float* latents, int64_t* codes) {
  if (projects_) {
    multiply(worker, projection_, rows_of(latents, rows, width_, width_),
             rows_to(parts_.data(), 2 * dim_));
  } else {
    const Worker::Range mine = worker.share(rows);
    for (int row = mine.begin; row < mine.end; ++row)
      for (int i = 0; i < 2 * dim_; ++i)
        parts_[static_cast<size_t>(row) * 2 * dim_ + i] =
            latents[static_cast<size_t>(row) * width_ + i % dim_];
  }
  worker.meet();
  for (int index = 0; index < codebooks_; ++index) {
    const int begin = index < semantic_ ? 0 : dim_;
    // The nearest is where |r - c|^2 / 2 is smallest; |r|^2 is the same for all.
    Results scores = rows_to(scores_.data(), size_);
    scores.bias = half_norms_[index].data();
    multiply(worker, books_[index], rows_of(parts_.data() + begin, rows, dim_, 2 * dim_), scores);
    worker.meet();
    choose(worker, rows, index, codes);
    worker.meet();
  }
}

void Quantizer::choose(const Worker& worker, int rows, int index, int64_t* codes) {
  const int begin = index < semantic_ ? 0 : dim_;
  const Worker::Range mine = worker.share(rows);
  for (int row = mine.begin; row < mine.end; ++row) {
    const float* scores = scores_.data() + static_cast<size_t>(row) * size_;
    // The first of the largest; the first of all where there are no numbers.
    int best = 0;
    for (int code = 1; code < size_; ++code)
      if (scores[code] > scores[best]) best = code;
    codes[static_cast<size_t>(row) * codebooks_ + index] = best;
    float* left = parts_.data() + static_cast<size_t>(row) * 2 * dim_ + begin;
    const float* word = book(index) + static_cast<size_t>(best) * dim_;
    for (int i = 0; i < dim_; ++i) left[i] -= word[i];
  }
}

}  // namespace csm
