#include "matrix.hpp"

#include <cmath>
#include <cstring>

#include "tile_order.hpp"

namespace csm {
namespace {

constexpr int inputs_per_step(Format format) {
  return format == Format::fp32 ? 1 : format == Format::bf16 ? 2 : 4;
}

}  // namespace

void Matrix::pack(const float* source, int outputs_, int inputs_, Format format_, Order order) {
  format = format_;
  outputs = outputs_;
  inputs = inputs_;
  const int run = order == Order::gate_up ? outputs / 2 : outputs;
  const int per_run = static_cast<int>(round_up(run, lanes)) / lanes;
  const int runs = outputs / run;
  panels = per_run * runs;
  steps = static_cast<int>(round_up(inputs, inputs_per_step(format))) / inputs_per_step(format);
  if (format != Format::fp32) steps = static_cast<int>(round_up(steps, simd::steps_at_once));
  const bool in_tiles = has_tiles && format != Format::fp32;
  panel_steps = in_tiles ? static_cast<int>(round_up(steps, tiles::rows)) : steps;
  weights.reserve(panels * panel_bytes());
#ifdef CSM_TILES
  // Now, not in a worker: it needs memory.
  if (format == Format::bf16) tiles::order_is_known();
#endif
  if (format == Format::int8) {
    scales.reserve(panels * lanes);
    offsets.reserve(panels * lanes);
  }
  for (int output = 0; output < outputs; ++output) {
    const int inside = output % run, part = output / run;
    const int panel = inside / lanes * runs + part;
    pack_row(source + static_cast<size_t>(output) * inputs, panel, inside % lanes);
  }
}

void Matrix::pack_row(const float* row, int panel, int lane) {
  uint8_t* to = weights.data() + panel * panel_bytes();
  if (format == Format::fp32) {
    for (int k = 0; k < inputs; ++k)
      std::memcpy(to + k * step_bytes + lane * sizeof(float), row + k, sizeof(float));
    return;
  }
  if (format == Format::bf16) {
    for (int k = 0; k < inputs; ++k) {
      const bf16 value = narrow(row[k]);
      std::memcpy(to + k / 2 * step_bytes + (2 * lane + k % 2) * sizeof(bf16), &value,
                  sizeof(bf16));
    }
    return;
  }
  float largest = 0.0f;
  for (int k = 0; k < inputs; ++k) largest = std::fmax(largest, std::fabs(row[k]));
  const float scale = largest / 127.0f;
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  int32_t total = 0;
  for (int k = 0; k < inputs; ++k) {
    const float whole = std::nearbyint(row[k] * inverse);
    const int8_t byte = static_cast<int8_t>(std::fmin(std::fmax(whole, -127.0f), 127.0f));
    std::memcpy(to + k / 4 * step_bytes + 4 * lane + k % 4, &byte, 1);
    total += byte;
  }
  scales[panel * lanes + lane] = scale;
  offsets[panel * lanes + lane] = simd::activation_offset * total;
}

float Matrix::int8_weight(int output, int input) const {
  const int panel = output / lanes, lane = output % lanes;
  const uint8_t byte =
      weights[panel * panel_bytes() + input / 4 * step_bytes + 4 * lane + input % 4];
  return scales[output] * static_cast<int8_t>(byte);
}

}  // namespace csm
