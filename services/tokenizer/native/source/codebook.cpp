#include "codebook.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace csm {
namespace {

using simd::F32;

// Lengths are rounded themselves; this much longer they are upper bounds.
constexpr float upwards = 1.0001f;
// Bounds are for rows and codewords up to these lengths: beyond, squares near the largest float.
constexpr float longest_row = 1e18f, longest_word = 1e11f;
// What products may lose that are too small for a float.
constexpr float underflow = 1e-30f;

// What a sum of so many rounded products can be off, of their lengths' product.
float rounding(int dim) { return static_cast<float>(dim + 16) * 1.2e-7f; }

float length_of(const float* x, int count) {
  double squares = 0.0;
  for (int i = 0; i < count; ++i) squares += static_cast<double>(x[i]) * x[i];
  return static_cast<float>(std::sqrt(squares)) * upwards;
}

}  // namespace

void Residuals::reserve(int rows, int dim) {
  dim_ = dim;
  stride_ = round_up(dim, lanes);
  values_.reserve(rows * stride_);
  bytes_.reserve(rows * stride_);
  scales_.reserve(rows);
  lengths_.reserve(rows);
  lost_.reserve(rows);
}

void Residuals::set(int row, const float* values) {
  std::copy_n(values, dim_, values_.data() + row * stride_);
  copy(row);
}

void Residuals::subtract(int row, const float* word) {
  float* values = values_.data() + row * stride_;
  for (int i = 0; i < dim_; ++i) values[i] -= word[i];
  copy(row);
}

void Residuals::copy(int row) {
  const float* values = values_.data() + row * stride_;
  const uint8_t* bytes = bytes_.data() + row * stride_;
  quantize(values, 1, dim_, stride_, bytes_.data() + row * stride_, scales_.data() + row);
  double squares = 0.0, lost = 0.0;
  for (int i = 0; i < dim_; ++i) {
    const int8_t byte = static_cast<int8_t>(bytes[i] - simd::activation_offset);
    const double value = values[i], missing = values[i] - scales_[row] * byte;
    squares += value * value;
    lost += missing * missing;
  }
  lengths_[row] = static_cast<float>(std::sqrt(squares)) * upwards;
  lost_[row] = static_cast<float>(std::sqrt(lost)) * upwards;
}

Codebook::Codebook(const float* words, const float* half_norms, int size, int dim)
    : words_(words), size_(size), dim_(dim) {
  coarse_.pack(words, size, dim, Format::int8, Order::plain);
  for (Buffer<float>* each : {&half_norms_, &lengths_, &lost_}) each->reserve(stride());
  // Lanes behind the last code are never near.
  std::fill_n(half_norms_.data(), stride(), 1e30f);
  std::copy_n(half_norms, size, half_norms_.data());
  std::vector<float> copied(dim), missing(dim);
  for (int code = 0; code < size; ++code) {
    for (int i = 0; i < dim; ++i) {
      copied[i] = coarse_.int8_weight(code, i);
      missing[i] = word(code)[i] - copied[i];
    }
    const float length = length_of(word(code), dim);
    lengths_[code] = length_of(copied.data(), dim);
    lost_[code] = length_of(missing.data(), dim) + rounding(dim) * length;
    bounded_ = bounded_ && length < longest_word;
  }
}

size_t Codebook::bytes() const {
  return coarse_.bytes() + half_norms_.bytes() + lengths_.bytes() + lost_.bytes();
}

void Codebook::score(const Residuals& left, int rows, int begin, int end, float* scores) const {
  product(coarse_, left.inputs(), rows, begin, end, scores, stride(), false);
}

void SearchScratch::reserve(int size, int dim) {
  candidates.reserve(round_up(size, lanes));
  turned.reserve(static_cast<size_t>(dim) * lanes);
}

int Codebook::nearest(const Residuals& left, int row, const float* scores,
                      SearchScratch& scratch) const {
  find_candidates(left, row, scores, scratch.candidates);
  return scratch.candidates.size() == 1 ? scratch.candidates[0]
                                        : decide(left.values(row), scratch);
}

// The nearest is where row . word - |word|^2 / 2 is largest. A score of the copies is off by at
// most |row| |what the word's copy lacks| + |what the row's copy lacks| |the word's copy|: a
// codeword is out once another is nearer by more than both can be off.
void Codebook::find_candidates(const Residuals& left, int row, const float* scores,
                               std::vector<int>& candidates) const {
  if (!bounded_ || !(left.length(row) < longest_row)) {
    // Not a number somewhere, or too large for bounds: all of them.
    candidates.resize(size_);
    std::iota(candidates.begin(), candidates.end(), 0);
    return;
  }
  const F32 length = simd::set(left.length(row)), lost = simd::set(left.lost(row));
  const F32 rounded = simd::set(rounding(dim_));
  const auto off = [&](size_t code) {
    const F32 copies = simd::fma(length, simd::load(lost_.data() + code),
                                 simd::mul(lost, simd::load(lengths_.data() + code)));
    const F32 most = simd::fma(rounded, simd::load(half_norms_.data() + code), copies);
    return simd::add(most, simd::set(underflow));
  };
  const auto middle = [&](size_t code) {
    return simd::sub(simd::load(scores + code), simd::load(half_norms_.data() + code));
  };
  F32 surely = simd::set(-3e38f);
  for (size_t code = 0; code < stride(); code += lanes)
    surely = simd::max(surely, simd::sub(middle(code), off(code)));
  const float least = simd::largest(surely);
  candidates.clear();
  for (size_t code = 0; code < stride(); code += lanes) {
    const F32 at_most = simd::add(middle(code), off(code));
    if (simd::largest(at_most) < least) continue;
    float each[lanes];
    simd::store(each, at_most);
    for (int i = 0; i < lanes; ++i)
      if (each[i] >= least) candidates.push_back(static_cast<int>(code) + i);
  }
}

// The first of the largest; the first of all where there are no numbers.
int Codebook::decide(const float* row, SearchScratch& scratch) const {
  float* turned = scratch.turned.data();
  const std::vector<int>& candidates = scratch.candidates;
  int best = candidates[0];
  float most = 0.0f;
  for (size_t from = 0; from < candidates.size(); from += lanes) {
    const int count = static_cast<int>(std::min<size_t>(lanes, candidates.size() - from));
    float sums[lanes] = {};
    for (int lane = 0; lane < count; ++lane) {
      const int code = candidates[from + lane];
      sums[lane] = -half_norms_[code];
      for (int i = 0; i < dim_; ++i) turned[i * lanes + lane] = word(code)[i];
    }
    F32 total = simd::load(sums);
    for (int i = 0; i < dim_; ++i)
      total = simd::fma(simd::load(turned + i * lanes), simd::set(row[i]), total);
    simd::store(sums, total);
    for (int lane = 0; lane < count; ++lane) {
      if (from + lane != 0 && !(sums[lane] > most)) continue;
      best = candidates[from + lane];
      most = sums[lane];
    }
  }
  return best;
}

}  // namespace csm
