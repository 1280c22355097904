#include "windows.hpp"

#include <cstring>

#include "tile_windows.hpp"

namespace csm {
namespace {

using simd::F32;

// The floats of a window that one pass adds up, so that their weights stay in the nearest cache
// while the rows go by. Sums wait in the outputs meanwhile.
constexpr int piece_length = 256;

constexpr int most_panels = simd::sum_budget >= 24 ? 4 : simd::sum_budget >= 6 ? 2 : 1;

// A lone stream's rows: as many panels as the registers hold, for a core reads several runs of
// memory faster than one.
constexpr int panels_at_once(int rows) {
  const int panels = simd::sum_budget / rows;
  return panels > 4 ? 4 : panels > most_panels ? panels : most_panels;
}

constexpr int rows_at_once(int panels) {
  const int rows = simd::sum_budget / panels;
  return rows > 8 ? 8 : rows;
}

struct Piece {
  int first_tap, last_tap;  // the last one excluded
  int from, to;             // within each tap
  bool is_first, is_last;
};

struct Job {
  const Matrix& matrix;
  const Windows& in;
  const Results& out;
};

// What is multiplied: weights and inputs as they lie in memory. `add` takes one step of a packed
// matrix, `inputs` deep, for P panels and R windows, weights and inputs in order.
struct Fp32 {
  using Input = float;
  static constexpr int inputs = 1;
  template <int R, int P>
  static void add(const uint8_t* w, size_t panel_bytes, const float* const (&x)[R], int step,
                  F32 (&sums)[R][P]) {
    F32 columns[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
      columns[p] = simd::load(reinterpret_cast<const float*>(w + p * panel_bytes));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F32 input = simd::set(x[r][step]);
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) sums[r][p] = simd::fma(columns[p], input, sums[r][p]);
    }
  }
};

// bf16 weights, fp32 inputs.
struct Widened {
  using Input = float;
  static constexpr int inputs = 2;
  template <int R, int P>
  static void add(const uint8_t* w, size_t panel_bytes, const float* const (&x)[R], int step,
                  F32 (&sums)[R][P]) {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      F32 even, odd;
      simd::load_pairs(w + p * panel_bytes, even, odd);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        sums[r][p] = simd::fma(even, simd::set(x[r][step]), sums[r][p]);
        sums[r][p] = simd::fma(odd, simd::set(x[r][step + 1]), sums[r][p]);
      }
    }
  }
};

#ifdef CSM_PAIRS
struct Pairwise {
  using Input = bf16;
  static constexpr int inputs = 2;
  template <int R, int P>
  static void add(const uint8_t* w, size_t panel_bytes, const bf16* const (&x)[R], int step,
                  F32 (&sums)[R][P]) {
    simd::Pairs columns[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) columns[p] = simd::load_raw_pairs(w + p * panel_bytes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      uint32_t both;
      std::memcpy(&both, x[r] + step, sizeof(both));
      const simd::Pairs input = simd::spread_pair(both);
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) sums[r][p] = simd::dot_pairs(sums[r][p], input, columns[p]);
    }
  }
};
#endif

// Adds one piece of R windows to their sums.
template <class Kind, int R, int P>
void add_up(const Job& job, const typename Kind::Input* const (&from)[R], int panel,
            const Piece& piece, F32 (&sums)[R][P]) {
  const Matrix& m = job.matrix;
  const size_t panel_bytes = m.panel_bytes();
  const uint8_t* weights = m.weights.data() + panel * panel_bytes;
  for (int tap = piece.first_tap; tap < piece.last_tap; ++tap) {
    const size_t first = static_cast<size_t>(tap) * job.in.tap_length + piece.from;
    // A run of inputs is a whole number of steps.
    const uint8_t* w = weights + first / Kind::inputs * step_bytes;
    const typename Kind::Input* x[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) x[r] = from[r] + tap * job.in.tap_stride;
    for (int step = piece.from; step < piece.to; step += Kind::inputs, w += step_bytes)
      Kind::template add<R, P>(w, panel_bytes, x, step, sums);
  }
}

inline const float* inputs_of(const Windows& in, float) { return in.values; }
inline const bf16* inputs_of(const Windows& in, bf16) { return in.rounded; }

// R rows times P panels over one piece, all sums in registers.
template <class Kind, int R, int P>
void tile(const Job& job, int row, int panel, const Piece& piece) {
  const Matrix& m = job.matrix;
  const Windows& in = job.in;
  const Results& out = job.out;
  const typename Kind::Input* from[R];
  float* to[R];
  int segment = row / in.time, time = row % in.time;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    from[r] = inputs_of(in, typename Kind::Input{}) + segment * in.segment_stride +
              time * in.row_stride;
    to[r] = out.values + segment * out.segment_stride + time * out.row_stride + panel * lanes;
    if (++time == in.time) {
      time = 0;
      ++segment;
    }
  }
  // Lanes of the last panel that are outputs.
  const int left = m.outputs - (panel + P - 1) * lanes;
  const int tail = left < lanes ? left : lanes;
  const bool from_zero = piece.is_first && !out.add;
  F32 sums[R][P];
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) {
    const F32 bias = out.bias ? simd::load(out.bias + (panel + p) * lanes) : simd::zero();
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      if (from_zero) {
        sums[r][p] = bias;
        continue;
      }
      const float* there = to[r] + p * lanes;
      sums[r][p] = p < P - 1 ? simd::load(there) : simd::load_n(there, tail);
      if (piece.is_first) sums[r][p] = simd::add(sums[r][p], bias);
    }
  }
  add_up<Kind, R, P>(job, from, panel, piece, sums);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      if (p < P - 1)
        simd::store(to[r] + p * lanes, sums[r][p]);
      else
        simd::store_n(to[r] + p * lanes, sums[r][p], tail);
    }
  if (piece.is_last) activate(out.activation, to, R, (P - 1) * lanes + tail);
}

template <class Kind, int R, int P>
void few_rows(const Job& job, int rows, int row, int panel, const Piece& piece) {
  if constexpr (R > 1) {
    if (rows < R) return few_rows<Kind, R - 1, P>(job, rows, row, panel, piece);
  }
  tile<Kind, R, P>(job, row, panel, piece);
}

template <class Kind, int P>
void panels(const Job& job, Worker::Range rows, int panel, const Piece& piece) {
  constexpr int R = rows_at_once(P);
  int row = rows.begin;
  for (; row + R <= rows.end; row += R) tile<Kind, R, P>(job, row, panel, piece);
  if (row < rows.end) few_rows<Kind, R, P>(job, rows.end - row, row, panel, piece);
}

template <class Kind, int P>
void some_panels(const Job& job, Worker::Range rows, int panel, int count, const Piece& piece) {
  if constexpr (P > 1) {
    if (count < P) return some_panels<Kind, P - 1>(job, rows, panel, count, piece);
  }
  panels<Kind, P>(job, rows, panel, piece);
}

template <class Work>
void each_piece(const Windows& in, int rows, Work work) {
  if (rows <= rows_at_once(1)) {
    work(Piece{0, in.taps, 0, in.tap_length, true, true});
    return;
  }
  if (in.tap_length <= piece_length) {
    const int taps = piece_length / in.tap_length;
    for (int tap = 0; tap < in.taps; tap += taps) {
      const int last = tap + taps < in.taps ? tap + taps : in.taps;
      work(Piece{tap, last, 0, in.tap_length, tap == 0, last == in.taps});
    }
    return;
  }
  for (int tap = 0; tap < in.taps; ++tap)
    for (int from = 0; from < in.tap_length; from += piece_length) {
      const int to = from + piece_length < in.tap_length ? from + piece_length : in.tap_length;
      work(Piece{tap, tap + 1, from, to, tap == 0 && from == 0,
                 tap + 1 == in.taps && to == in.tap_length});
    }
}

// P panels after the other, of those dealt out.
template <int P>
void of_every_panel(const Job& job, Worker::Range rows, Worker::Range panels) {
  for (int panel = panels.begin; panel < panels.end; panel += P) {
    const int count = panels.end - panel < P ? panels.end - panel : P;
    each_piece(job.in, rows.end - rows.begin, [&](const Piece& piece) {
#ifdef CSM_PAIRS
      if (job.in.rounded) return some_panels<Pairwise, P>(job, rows, panel, count, piece);
#endif
      if (job.matrix.format == Format::bf16)
        some_panels<Widened, P>(job, rows, panel, count, piece);
      else
        some_panels<Fp32, P>(job, rows, panel, count, piece);
    });
  }
}

}  // namespace

void multiply(const Worker& worker, const Matrix& matrix, const Windows& in, const Results& out) {
  const Job job{matrix, in, out};
  Worker::Range of_panels{0, matrix.panels}, of_rows{0, in.rows()};
  // Either way a sum is one thread's; weights are dealt out where they outweigh the rows.
  if (in.rows() < 16 * worker.count || matrix.panels >= 8 * worker.count)
    of_panels = worker.share(matrix.panels);
  else
    of_rows = worker.share(in.rows());
  const int rows = of_rows.end - of_rows.begin;
  if (rows == 0) return;
#ifdef CSM_TILES
  if (in.rounded) return multiply_by_tiles(matrix, in, out, of_rows, of_panels);
#endif
  switch (rows) {
    case 1: return of_every_panel<panels_at_once(1)>(job, of_rows, of_panels);
    case 2: return of_every_panel<panels_at_once(2)>(job, of_rows, of_panels);
    default: of_every_panel<most_panels>(job, of_rows, of_panels);
  }
}

}  // namespace csm
