// `product` where there are tiles.
#pragma once

#include "product.hpp"
#include "tiles.hpp"

namespace csm {

#ifdef CSM_TILES

// Whether `product_by_tiles` is the one that multiplies so many rows.
bool goes_by_tiles(const Matrix& matrix, int rows);

// As `product`. An output of bf16 is the sum that a tile makes, whoever makes it.
void product_by_tiles(const Matrix& matrix, const Inputs& inputs, int rows, int begin, int end,
                      float* out, size_t out_stride, bool add);

#endif

}  // namespace csm
