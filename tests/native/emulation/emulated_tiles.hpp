// The tile registers of AMX in plain C++, after the pseudo code of Intel's manuals: what tiles.hpp
// calls where CSM_EMULATED is defined. Only tests compile with it (tests/native/emulated.py).
//
// What would be a fault of the processor (#UD, #GP) is counted and does nothing;
// `csm_emulated_tiles` tells how many there were and how many threads hold tiles.
#pragma once

#include <immintrin.h>

#include <atomic>
#include <cstdlib>

namespace csm::tiles {

struct Emulated {
  bool configured = false;
  Shape shape{};
  uint8_t data[8][16][64];
};

inline Emulated& mine() {
  static thread_local Emulated registers;
  return registers;
}

struct Counters {
  std::atomic<int64_t> faults{0}, held{0}, configured{0}, products{0};
};
inline Counters& counters() {
  static Counters all;
  return all;
}

// As of another processor, whose bf16 products are summed as vdpbf16ps does.
inline bool in_another_order() {
  static const bool asked = std::getenv("CSM_EMULATED_ORDER") != nullptr;
  return asked;
}

inline bool fault(bool wrong) {
  if (wrong) ++counters().faults;
  return wrong;
}
inline int rows_of(int tile) { return mine().shape.rows[tile]; }
inline int bytes_of(int tile) { return mine().shape.row_bytes[tile]; }
inline bool usable(int tile) { return mine().configured && rows_of(tile) && bytes_of(tile); }

inline void configure(const Shape& shape) {
  bool wrong = shape.palette != 1 || shape.start_row != 0;
  for (int i = 0; i < 16; ++i) {
    wrong |= shape.rows[i] > 16 || shape.row_bytes[i] > 64;
    wrong |= (shape.rows[i] == 0) != (shape.row_bytes[i] == 0);
    wrong |= i >= 8 && shape.rows[i] != 0;
  }
  for (uint8_t byte : shape.reserved) wrong |= byte != 0;
  if (fault(wrong)) return;
  if (!mine().configured) ++counters().held;
  ++counters().configured;
  mine().configured = true;
  mine().shape = shape;
  std::memset(mine().data, 0, sizeof(mine().data));
}
inline void release() {
  if (mine().configured) --counters().held;
  mine().configured = false;
  std::memset(mine().data, 0, sizeof(mine().data));
}

template <int T>
void clear() {
  if (fault(!usable(T))) return;
  std::memset(mine().data[T], 0, sizeof(mine().data[T]));
}
template <int T>
void load(const void* from, size_t stride) {
  if (fault(!usable(T))) return;
  clear<T>();
  for (int row = 0; row < rows_of(T); ++row)
    std::memcpy(mine().data[T][row], static_cast<const uint8_t*>(from) + row * stride, bytes_of(T));
}
template <int T>
void store(void* to, size_t stride) {
  if (fault(!usable(T))) return;
  for (int row = 0; row < rows_of(T); ++row)
    std::memcpy(static_cast<uint8_t*>(to) + row * stride, mine().data[T][row], bytes_of(T));
}

// Sums [m, n], A [m, k], B [k, n], all of 4 bytes an element.
inline bool fit(int sums, int a, int b) {
  return usable(sums) && usable(a) && usable(b) && rows_of(sums) == rows_of(a) &&
         bytes_of(sums) == bytes_of(b) && bytes_of(a) == 4 * rows_of(b) && sums != a &&
         sums != b && a != b;
}

// TDPBUSD
template <int S, int A, int B>
void dot_bytes() {
  if (fault(!fit(S, A, B))) return;
  ++counters().products;
  const int columns = bytes_of(S) / 4;
  for (int m = 0; m < rows_of(S); ++m) {
    int32_t sums[16];
    std::memcpy(sums, mine().data[S][m], columns * sizeof(int32_t));
    for (int k = 0; k < bytes_of(A) / 4; ++k) {
      const uint8_t* a = mine().data[A][m] + 4 * k;
      const int8_t* b = reinterpret_cast<const int8_t*>(mine().data[B][k]);
      for (int n = 0; n < columns; ++n)
        for (int i = 0; i < 4; ++i) sums[n] += a[i] * b[4 * n + i];
    }
    std::memcpy(mine().data[S][m], sums, columns * sizeof(int32_t));
  }
}

// TDPBF16PS; columns behind the last stay zeros.
template <int S, int A, int B>
void dot_pairs() {
  if (fault(!fit(S, A, B))) return;
  ++counters().products;
  for (int m = 0; m < rows_of(S); ++m) {
    __m512 sums = _mm512_loadu_ps(mine().data[S][m]), first{}, second{};
    for (int k = 0; k < bytes_of(A) / 4; ++k) {
      int32_t pair;
      std::memcpy(&pair, mine().data[A][m] + 4 * k, sizeof(pair));
      const __m512i a = _mm512_set1_epi32(pair), b = _mm512_loadu_si512(mine().data[B][k]);
      if (in_another_order()) {
        sums = _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
        continue;
      }
      first = emulated::fma_flushed(emulated::firsts(a), emulated::firsts(b), first);
      second = emulated::fma_flushed(emulated::seconds(a), emulated::seconds(b), second);
    }
    if (!in_another_order())
      sums = emulated::add_flushed(sums, emulated::add_flushed(first, second));
    std::memcpy(mine().data[S][m], &sums, bytes_of(S));
  }
}

}  // namespace csm::tiles

// faults, threads that hold tiles now, configurations, products.
extern "C" __attribute__((visibility("default"), weak)) void csm_emulated_tiles(int64_t* found) {
  const csm::tiles::Counters& all = csm::tiles::counters();
  found[0] = all.faults;
  found[1] = all.held;
  found[2] = all.configured;
  found[3] = all.products;
}
