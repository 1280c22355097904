// Split residual vector quantization: two chains of codebooks side by side.
#pragma once

#include <vector>

#include "codebook.hpp"
#include "windows.hpp"

namespace csm {

// What Python hands over; library.py has the same. Codebooks are read where they are, for as long
// as the codec lives. The projections are both quantizers' stacked, semantic first, or null where
// the codebooks are as wide as the latents.
struct QuantizerShape {
  int32_t width;
  int32_t dim;
  int32_t size;
  int32_t semantic;
  int32_t codebooks;
  const float* semantic_books;  // [semantic, size, dim]
  const float* acoustic_books;  // [codebooks - semantic, size, dim]
  const float* half_norms;      // [codebooks, size]; encoder only
  const float* input_proj;      // [2 dim, width]; encoder only
  const float* output_proj;     // [width, 2 dim]; decoder only
};

class Quantizer {
 public:
  // Packs what an encoder or a decoder needs of it.
  Quantizer(const QuantizerShape& shape, int threads, bool encodes);

  void reserve(int rows);
  size_t bytes() const;

  // By all workers at once; each ends with all workers met.
  // latents [rows, width] to codes [rows, codebooks].
  void encode(const Worker& worker, int rows, const float* latents, int64_t* codes);
  // The first `given` codebooks of codes [rows, given] to latents [rows, width].
  void decode(const Worker& worker, int rows, const int64_t* codes, int given, float* latents);

 private:
  const float* book(int index) const;
  void project(const Worker& worker, int rows, const float* latents);

  const int width_, dim_, size_, semantic_, codebooks_;
  const bool projects_;
  const float* const semantic_books_;
  const float* const acoustic_books_;
  Matrix projection_;
  Buffer<float> parts_;  // [rows, 2 dim]: semantic and acoustic
  // Encoder only.
  std::vector<Codebook> books_;
  Residuals semantic_left_, acoustic_left_;
  Buffer<float> scores_;  // [rows, codes in whole panels]
  std::vector<SearchScratch> scratch_;
};

}  // namespace csm
