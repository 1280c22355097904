// Drawing one code of one row: services/generator/model/sampler.py, the same rules and roundings.
#pragma once

#include <cstdint>
#include <vector>

namespace csm {

struct Draw {
  float temperature;   // 0 takes the most likely code
  int64_t top_k;       // 0 keeps all
  float top_p;         // 1 keeps all
  const float* noise;  // Exp(1), one a code; not read at temperature 0
};

// A thread's own; it only grows.
struct DrawScratch {
  std::vector<float> scores;
  std::vector<float> ordered;
};

// Returns the code drawn from logits [size].
int64_t draw(const float* logits, int size, const Draw& how, DrawScratch& scratch);

}  // namespace csm
