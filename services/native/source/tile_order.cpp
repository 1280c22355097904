#include "tile_order.hpp"

#ifdef CSM_TILES

namespace csm::tiles {
namespace {

constexpr int chunks = 24;

// Sixteen rows that lie one behind the other.
struct Plain {
  const uint8_t* at;
  void take(int, int, int) {}
  Rows rows(int, int chunk) const {
    return {at + chunk * size_t{row_bytes}, size_t{chunks} * row_bytes};
  }
};

// Numbers of both signs over `exponents` powers of two from `lowest` on (1 is 2 to the -126, 0 is
// subnormal): products and sums around one, and around the smallest there are.
class Numbers {
 public:
  bf16 next(int lowest, int exponents) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    const uint32_t drawn = static_cast<uint32_t>(state_ >> 33);
    const uint32_t exponent = lowest + (drawn >> 8) % exponents;
    return static_cast<bf16>((drawn & 1) << 15 | exponent << 7 | (drawn >> 1 & 0x7f));
  }

 private:
  uint64_t state_ = 20;
};

bool compare() {
  Matrix m;
  m.format = Format::bf16;
  m.panels = 1;
  m.outputs = lanes;
  m.steps = m.panel_steps = chunks * rows;
  m.inputs = 2 * m.steps;
  m.weights.reserve(m.panel_bytes());
  Buffer<uint8_t> inputs;
  inputs.reserve(chunks * bytes);
  bf16* weights = reinterpret_cast<bf16*>(m.weights.data());
  bf16* values = reinterpret_cast<bf16*>(inputs.data());
  Numbers numbers;
  constexpr size_t each = bytes / sizeof(bf16);
  // A third of the chunks, in turns: ordinary numbers; products that are barely a float, or none;
  // subnormal factors.
  for (size_t i = 0; i < chunks * each; ++i) {
    const size_t kind = i / each % 3, lowest = kind == 0 ? 115 : kind == 1 ? 60 : 0;
    weights[i] = numbers.next(static_cast<int>(lowest), kind == 2 ? 3 : 12);
  }
  constexpr size_t in_row = row_bytes / sizeof(bf16);
  for (size_t i = 0; i < chunks * each; ++i) {
    const size_t kind = i / in_row % chunks % 3;
    values[i] = numbers.next(kind == 0 ? 115 : kind == 1 ? 55 : 120, 12);
  }
  alignas(64) uint8_t by_tile[bytes];
  Plain all{inputs.data()};
  {
    const Tiles held(rows);
    sum<Pairs, 1, 1>(m, 0, all, by_tile);
  }
  for (int row = 0; row < rows; ++row) {
    simd::F32 total[1][1];
    Plain one{inputs.data() + row * size_t{chunks} * row_bytes};
    sum_in_order<1, 1>(m, 0, one, total);
    alignas(64) float found[lanes];
    simd::store(found, total[0][0]);
    if (std::memcmp(found, by_tile + row * size_t{row_bytes}, sizeof(found)) != 0) return false;
  }
  return true;
}

}  // namespace

bool order_is_known() {
  static const bool known = compare();
  return known;
}

}  // namespace csm::tiles

#endif
