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

Quantizer::Quantizer(const QuantizerShape& shape, int threads, bool encodes)
    : width_(shape.width),
      dim_(shape.dim),
      size_(shape.size),
      semantic_(shape.semantic),
      codebooks_(shape.codebooks),
      projects_(shape.input_proj || shape.output_proj),
      semantic_books_(shape.semantic_books),
      acoustic_books_(shape.acoustic_books),
      scratch_(threads) {
  if (!encodes) {
    if (projects_)
      projection_.pack(shape.output_proj, width_, 2 * dim_, Format::fp32, Order::plain);
    return;
  }
  if (projects_) projection_.pack(shape.input_proj, 2 * dim_, width_, Format::fp32, Order::plain);
  for (SearchScratch& scratch : scratch_) scratch.reserve(size_, dim_);
  books_.reserve(codebooks_);
  for (int index = 0; index < codebooks_; ++index)
    books_.emplace_back(book(index), shape.half_norms + static_cast<size_t>(index) * size_, size_,
                        dim_);
}

const float* Quantizer::book(int index) const {
  const size_t floats = static_cast<size_t>(size_) * dim_;
  return index < semantic_ ? semantic_books_ + index * floats
                           : acoustic_books_ + (index - semantic_) * floats;
}

void Quantizer::reserve(int rows) {
  parts_.reserve(static_cast<size_t>(rows) * 2 * dim_);
  if (books_.empty()) return;
  scores_.reserve(rows * books_[0].stride());
  semantic_left_.reserve(rows, dim_);
  acoustic_left_.reserve(rows, dim_);
}

size_t Quantizer::bytes() const {
  size_t total = projection_.bytes();
  for (const Codebook& book : books_) total += book.bytes();
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

// latents to the semantic and the acoustic part of every row, still whole.
void Quantizer::project(const Worker& worker, int rows, const float* latents) {
  if (projects_) {
    multiply(worker, projection_, rows_of(latents, rows, width_, width_),
             rows_to(parts_.data(), 2 * dim_));
    worker.meet();
  }
  const Worker::Range mine = worker.share(rows);
  for (int row = mine.begin; row < mine.end; ++row) {
    const float* both = projects_ ? parts_.data() + static_cast<size_t>(row) * 2 * dim_
                                  : latents + static_cast<size_t>(row) * width_;
    semantic_left_.set(row, both);
    acoustic_left_.set(row, projects_ ? both + dim_ : both);
  }
  worker.meet();
}

void Quantizer::encode(const Worker& worker, int rows, const float* latents, int64_t* codes) {
  project(worker, rows, latents);
  const Worker::Range mine = worker.share(rows);
  for (int index = 0; index < codebooks_; ++index) {
    const Codebook& book = books_[index];
    Residuals& left = index < semantic_ ? semantic_left_ : acoustic_left_;
    const Worker::Range panels = worker.share(book.panels());
    book.score(left, rows, panels.begin, panels.end, scores_.data());
    worker.meet();
    for (int row = mine.begin; row < mine.end; ++row) {
      const int code =
          book.nearest(left, row, scores_.data() + row * book.stride(), scratch_[worker.index]);
      codes[static_cast<size_t>(row) * codebooks_ + index] = code;
      left.subtract(row, book.word(code));
    }
    worker.meet();
  }
}

}  // namespace csm
