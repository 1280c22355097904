#include "tile_order.hpp"

#ifdef CSM_TILES

namespace csm::tiles {
namespace {

constexpr int chunks = 8;

// Sixteen rows that lie one behind the other.
struct Plain {
  const uint8_t* at;
  void take(int, int, int) {}
  Rows rows(int, int chunk) const {
    return {at + chunk * size_t{row_bytes}, size_t{chunks} * row_bytes};
  }
};

// Numbers of both signs over twelve powers of two from `lowest` on; 1 is 2 to the -126, 0 is
// subnormal, 127 is one.
class Numbers {
 public:
  void fill(int lowest, bf16* to) {
    for (size_t i = 0; i < chunks * bytes / sizeof(bf16); ++i) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      const uint32_t drawn = static_cast<uint32_t>(state_ >> 33);
      const uint32_t exponent = lowest + (drawn >> 8) % 12;
      to[i] = static_cast<bf16>((drawn & 1) << 15 | exponent << 7 | (drawn >> 1 & 0x7f));
    }
  }

 private:
  uint64_t state_ = 20;
};

bool are_equal(const Matrix& m, const uint8_t* inputs) {
  alignas(64) uint8_t by_tile[bytes];
  Plain all{inputs};
  {
    const Tiles held(rows);
    sum<Pairs, 1, 1>(m, 0, all, by_tile);
  }
  for (int row = 0; row < rows; ++row) {
    simd::F32 total[1][1];
    Plain one{inputs + row * size_t{chunks} * row_bytes};
    sum_in_order<1, 1>(m, 0, one, total);
    alignas(64) float found[lanes];
    simd::store(found, total[0][0]);
    if (std::memcmp(found, by_tile + row * size_t{row_bytes}, sizeof(found)) != 0) return false;
  }
  return true;
}

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
  Numbers numbers;
  // By themselves, as larger sums would hide them: ordinary numbers; products and sums around the
  // smallest float; factors of which some are subnormal.
  constexpr int lowest[][2] = {{121, 121}, {55, 60}, {0, 120}};
  for (const auto& [of_weights, of_inputs] : lowest) {
    numbers.fill(of_weights, reinterpret_cast<bf16*>(m.weights.data()));
    numbers.fill(of_inputs, reinterpret_cast<bf16*>(inputs.data()));
    if (!are_equal(m, inputs.data())) return false;
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
