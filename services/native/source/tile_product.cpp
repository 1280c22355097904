#include "tile_product.hpp"

#include <cstring>

#include "tile_order.hpp"

#ifdef CSM_TILES

namespace csm {
namespace {

// Rows that are `stride` bytes apart, 64 bytes at a time. What lies behind a row is its
// neighbour's, so the last part of each is copied, with nothing behind it.
class RowInputs {
 public:
  RowInputs(const Matrix& matrix, const Inputs& in)
      : at_(in.bytes),
        stride_(in.stride * (matrix.format == Format::bf16 ? sizeof(bf16) : 1)),
        whole_(matrix.steps / tiles::rows),
        rest_(matrix.steps % tiles::rows * sizeof(uint32_t)),
        // -0 times the +0 of the weights there changes no sum.
        nothing_(matrix.format == Format::bf16 ? 0x80008000u : 0u) {}

  void take(int slot, int first, int height) {
    base_[slot] = at_ + first * stride_;
    if (!rest_) return;
    for (int row = 0; row < height; ++row) {
      uint8_t* to = last_[slot] + row * tiles::row_bytes;
      std::memcpy(to, base_[slot] + row * stride_ + whole_ * size_t{tiles::row_bytes}, rest_);
      for (size_t i = rest_; i < tiles::row_bytes; i += sizeof(nothing_))
        std::memcpy(to + i, &nothing_, sizeof(nothing_));
    }
  }

  tiles::Rows rows(int slot, int chunk) const {
    if (chunk == whole_) return {last_[slot], tiles::row_bytes};
    return {base_[slot] + chunk * size_t{tiles::row_bytes}, stride_};
  }

 private:
  const uint8_t* at_;
  size_t stride_;
  int whole_;
  size_t rest_;
  uint32_t nothing_;
  const uint8_t* base_[2] = {};
  alignas(64) uint8_t last_[2][tiles::bytes];
};

}  // namespace

bool goes_by_tiles(const Matrix& matrix, int rows) {
  return matrix.format == Format::bf16 ||
         (matrix.format == Format::int8 && rows >= tiles::least_rows);
}

void product_by_tiles(const Matrix& matrix, const Inputs& in, int rows, int begin, int end,
                      float* out, size_t out_stride, bool add) {
  RowInputs inputs(matrix, in);
  const auto put = [&](int row, int panel, simd::F32 value) {
    float* to = out + row * out_stride + static_cast<size_t>(panel) * lanes;
    simd::store(to, add ? simd::add(simd::load(to), value) : value);
  };
  if (begin == end || rows == 0) return;
  if (matrix.format == Format::int8)
    return tiles::multiply<tiles::Bytes>(
        matrix, 0, rows, begin, end, inputs, [&](int row, int panel, const uint8_t* sums) {
          const simd::I32 sum = simd::load_int(reinterpret_cast<const int32_t*>(sums));
          put(row, panel, scaled(sum, matrix, in, row, panel));
        });
  tiles::multiply_pairs(matrix, 0, rows, begin, end, inputs,
                        [&](int row, int panel, const uint8_t* sums) {
                          put(row, panel, simd::load(reinterpret_cast<const float*>(sums)));
                        });
}

}  // namespace csm

#endif
