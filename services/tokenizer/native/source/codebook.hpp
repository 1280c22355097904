// The nearest codeword, looked for in int8 and decided in fp32.
//
// A streamed frame would read every codebook in fp32, 67 MB of the 224 that encoding one reads at
// full size. All codewords are scored by an int8 copy instead; how far such a score can be off is
// known (Cauchy and Schwarz), and the few that could still be the nearest are scored again from
// their fp32 originals, in one chain of additions over the inputs in order. The code is the one
// that a search in fp32 finds, the first of several as near.
#pragma once

#include <vector>

#include "product.hpp"

namespace csm {

// What is left to be explained of each row, and its int8 copy.
class Residuals {
 public:
  void reserve(int rows, int dim);
  // Row `row` is these `dim` floats.
  void set(int row, const float* values);
  // Takes a codeword off.
  void subtract(int row, const float* word);

  const float* values(int row) const { return values_.data() + row * stride_; }
  Inputs inputs() const { return {values_.data(), stride_, bytes_.data(), scales_.data()}; }
  // Euclidean: of the row, and of what its copy lacks.
  float length(int row) const { return lengths_[row]; }
  float lost(int row) const { return lost_[row]; }

 private:
  void copy(int row);

  int dim_ = 0;
  size_t stride_ = 0;
  Buffer<float> values_, scales_, lengths_, lost_;
  Buffer<uint8_t> bytes_;
};

// One thread's own memory. A worker may not run out of it: all is reserved before.
struct SearchScratch {
  std::vector<int> candidates;
  Buffer<float> turned;  // [dim, 16]: up to sixteen codewords, one a lane

  void reserve(int size, int dim);
};

class Codebook {
 public:
  // words [size, dim] are read where they are for as long as this lives; half_norms [size] are
  // |word|^2 / 2.
  Codebook(const float* words, const float* half_norms, int size, int dim);

  int panels() const { return coarse_.panels; }
  // What a row of scores takes.
  size_t stride() const { return static_cast<size_t>(coarse_.panels) * lanes; }
  const float* word(int code) const { return words_ + static_cast<size_t>(code) * dim_; }
  size_t bytes() const;

  // Inner products of the int8 copies: the panels `begin` to `end` - 1 of scores [rows, stride()].
  void score(const Residuals& left, int rows, int begin, int end, float* scores) const;
  // The code nearest to a row that has its scores.
  int nearest(const Residuals& left, int row, const float* scores, SearchScratch& scratch) const;

 private:
  void find_candidates(const Residuals& left, int row, const float* scores,
                       std::vector<int>& candidates) const;
  int decide(const float* row, SearchScratch& scratch) const;

  const float* const words_;
  const int size_, dim_;
  Matrix coarse_;
  // By code: |word|^2 / 2, the length of its copy, and what the copy lacks of it.
  Buffer<float> half_norms_, lengths_, lost_;
  bool bounded_ = true;  // every word is of an ordinary length
};

}  // namespace csm
