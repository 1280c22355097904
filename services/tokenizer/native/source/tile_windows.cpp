#include "tile_windows.hpp"

#include <algorithm>
#include <cstring>

#include "tile_order.hpp"

#ifdef CSM_TILES

namespace csm {
namespace {

constexpr int chunk_inputs = tiles::row_bytes / static_cast<int>(sizeof(bf16));
// Behind a window's own: times the +0 of the weights there it changes no sum.
constexpr bf16 nothing = 0x8000;

// Windows, 32 inputs at a time: where they lie if that is one run within a tap and the windows
// follow one another evenly, else copied.
class WindowInputs {
 public:
  explicit WindowInputs(const Windows& in) : in_(in), length_(in.taps * in.tap_length) {}

  void take(int slot, int first, int height) {
    Block& block = blocks_[slot];
    block.height = height;
    for (int row = 0; row < height; ++row) {
      const int segment = (first + row) / in_.time, time = (first + row) % in_.time;
      block.from[row] = in_.rounded + segment * in_.segment_stride + time * in_.row_stride;
    }
    block.stride = height > 1 ? block.from[1] - block.from[0] : 0;
    block.even = true;
    for (int row = 2; row < height; ++row)
      block.even &= block.from[row] - block.from[row - 1] == block.stride;
  }

  tiles::Rows rows(int slot, int chunk) {
    Block& block = blocks_[slot];
    const int tap = chunk * chunk_inputs / in_.tap_length;
    const int from = chunk * chunk_inputs % in_.tap_length;
    if (block.even && from + chunk_inputs <= in_.tap_length)
      return {reinterpret_cast<const uint8_t*>(block.from[0] + tap * in_.tap_stride + from),
              block.stride * sizeof(bf16)};
    for (int row = 0; row < block.height; ++row)
      copy(block.from[row], chunk * chunk_inputs, block.copied + row * chunk_inputs);
    return {reinterpret_cast<const uint8_t*>(block.copied), tiles::row_bytes};
  }

 private:
  struct Block {
    const bf16* from[tiles::rows];
    int height;
    ptrdiff_t stride;
    bool even;
    alignas(64) bf16 copied[tiles::rows * chunk_inputs];
  };

  // Inputs `at` and on of a window.
  void copy(const bf16* window, int at, bf16* to) const {
    bf16* const end = to + chunk_inputs;
    while (to < end && at < length_) {
      const int tap = at / in_.tap_length, from = at % in_.tap_length;
      const int count = std::min<int>(in_.tap_length - from, static_cast<int>(end - to));
      std::memcpy(to, window + tap * in_.tap_stride + from, count * sizeof(bf16));
      to += count;
      at += count;
    }
    std::fill(to, end, nothing);
  }

  const Windows& in_;
  const int length_;
  Block blocks_[2];
};

}  // namespace

void multiply_by_tiles(const Matrix& matrix, const Windows& in, const Results& out,
                       const Worker::Range& rows, const Worker::Range& panels) {
  if (rows.begin == rows.end || panels.begin == panels.end) return;
  WindowInputs inputs(in);
  const auto finish = [&](int row, int panel, const uint8_t* sums) {
    const size_t first = static_cast<size_t>(panel) * lanes;
    float* to = out.values + row / in.time * out.segment_stride + row % in.time * out.row_stride +
                first;
    const int count = std::min(lanes, matrix.outputs - panel * lanes);
    simd::F32 value = simd::load(reinterpret_cast<const float*>(sums));
    if (out.bias) value = simd::add(value, simd::load(out.bias + first));
    if (out.add) value = simd::add(simd::load_n(to, count), value);
    simd::store_n(to, activate(out.activation, value), count);
  };
  tiles::multiply_pairs(matrix, rows.begin, rows.end, panels.begin, panels.end, inputs, finish);
}

}  // namespace csm

#endif
