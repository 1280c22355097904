// Attention over fp32 or bf16 keys and values in fp32, a block of positions after the other.
//
// A block is made fp32, and its keys turned, once for all rows that read it: a score is a lane
// then, and what a row needs of a block stays in the caches. Softmax goes on from block to block:
// what was summed shrinks where a larger score comes. A score is one chain of additions over a
// head's numbers in order, a weighted sum one over the positions; blocks begin at multiples of
// their size, whoever else is computed.
#pragma once

#include "buffer.hpp"
#include "simd.hpp"

namespace csm {

constexpr int block_positions = 64;

// A row of one kv head: queries and out [group, head_dim] over the positions before `length`.
struct BlockRow {
  const float* queries;
  float* out;
  int length;
};

// One thread's own memory.
struct BlockScratch {
  Buffer<float> keys;     // [head_dim, block_positions]
  Buffer<float> values;   // [block_positions, head_dim in whole vectors]
  Buffer<float> largest;  // [rows, group]: of the scores so far, in twos' logarithms
  Buffer<float> totals;   // [rows, group, lanes]: the weights so far

  void reserve(int rows, int group, int head_dim);
};

// Keys and values [at least the longest length, head_dim], rows in the order of lengths. T: float
// or bf16.
template <class T>
void attend_in_blocks(BlockScratch& scratch, const T* keys, const T* values, int head_dim,
                      int group, const BlockRow* rows, int count);

}  // namespace csm
