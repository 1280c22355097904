// The tile registers of AMX: eight of up to sixteen rows of 64 bytes, and products of whole tiles.
//
// Of two tiles A [m, 64 bytes] and B [16, 64 bytes] a product adds to sums [m, 16]
//   int8  dot_bytes: sums[m, n] += four unsigned bytes of A times four signed ones of B, sixteen
//         times; exact in int32
//   bf16  dot_pairs: TDPBF16PS. Per sum two chains of sixteen fused multiplications, one of the first
//         of every pair and one of the second, each from zero; then their sum; then that added to
//         the sum. All of it rounds to the nearest, with subnormals as zeros, whatever MXCSR says.
// B lies as sixteen steps of a packed matrix do (matrix.hpp).
//
// A process asks the system for tiles once, before a library of this level is loaded (tiles.py). A
// thread holds them for as long as a `Tiles` lives: nothing stays behind for a switch of threads to
// carry, or for another library to stumble over.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AMX_TILE__) && defined(__AMX_INT8__) && defined(__AMX_BF16__)
#define CSM_TILES 1
#endif

namespace csm {

#ifdef CSM_TILES
constexpr bool has_tiles = true;
#else
constexpr bool has_tiles = false;
#endif

}  // namespace csm

namespace csm::tiles {

constexpr int rows = 16;
constexpr int row_bytes = 64;
constexpr size_t bytes = size_t{rows} * row_bytes;

// What LDTILECFG reads.
struct alignas(64) Shape {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

}  // namespace csm::tiles

#ifdef CSM_TILES

#ifdef CSM_EMULATED
#include "emulated_tiles.hpp"
#else

namespace csm::tiles {

inline void configure(const Shape& shape) { asm volatile("ldtilecfg %0" : : "m"(shape)); }
inline void release() { asm volatile("tilerelease"); }

// T, S, A, B are numbers of registers. Rows in memory are `stride` bytes apart.
template <int T>
void clear() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
template <int T>
void load(const void* from, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
}
template <int T>
void store(void* to, size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
}
template <int S, int A, int B>
void dot_bytes() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(S), "i"(A), "i"(B));
}
template <int S, int A, int B>
void dot_pairs() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(S), "i"(A), "i"(B));
}

}  // namespace csm::tiles

#endif

namespace csm::tiles {

// Tiles of one thread: 0 to 3 for sums and 4, 5 for A, of `count` rows; 6, 7 for B, of sixteen.
class Tiles {
 public:
  explicit Tiles(int count) {
    Shape shape;
    for (int tile = 0; tile < 8; ++tile) {
      shape.rows[tile] = static_cast<uint8_t>(tile < 6 ? count : rows);
      shape.row_bytes[tile] = row_bytes;
    }
    configure(shape);
  }
  ~Tiles() { release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

}  // namespace csm::tiles

#endif
