// Weights as the kernels read them, made once from those in the graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "memory.h"

// A graph's operator that is not what this library computes, in words.
struct Misfit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Raises Misfit where this processor runs none of the kernels.
void check_cpu();

constexpr int COLUMNS_PER_VECTOR = 16;

// Channels are kept in whole vectors; what is beyond the last one is 0.
constexpr int padded(int channels) {
  return (channels + COLUMNS_PER_VECTOR - 1) / COLUMNS_PER_VECTOR * COLUMNS_PER_VECTOR;
}

// A matrix is cut into panels of up to this many vectors of columns, each of which lies in memory
// row by row, behind the one on its left. Five where that divides it evenly and four does not.
constexpr int panel_vectors(int columns, int vectors_left) {
  const int vectors = columns / COLUMNS_PER_VECTOR;
  const int most = vectors % 5 == 0 && vectors % 4 != 0 ? 5 : 4;
  return vectors_left < most ? vectors_left : most;
}

// y = x W + b.
struct Linear {
  int depth = 0, columns = 0;  // columns in whole vectors
  const float* weights = nullptr;
  const float* bias = nullptr;
};

// The same with whole weights from -128 to 127, each column of which has a scale. Within a panel
// four rows lie together, as the instruction for it takes them: [row / 4][column][row % 4].
struct WholeLinear {
  int depth = 0, columns = 0;
  const int8_t* weights = nullptr;
  const float* scale = nullptr;
  const float* bias = nullptr;
  const int32_t* offset = nullptr;  // see linear_vnni.h, as for
  float levels = 0;
};

// What is left to read of a graph's weights, and the arena that keeps what is made of them.
class Reader {
 public:
  Reader(Arena& arena, const float* floats, size_t float_count, const int8_t* whole,
         size_t whole_count);

  // `count` numbers, followed by zeros up to a multiple of 16.
  const float* row(int count);
  // `rows` times as many, each row padded so.
  const float* table(int rows, int count);
  // A matrix of `rows` x `columns` and its bias. Its rows are `groups` times as many channels, its
  // columns `column_groups` times; each group is padded.
  Linear linear(int rows, int columns, int groups = 1, int column_groups = 1);
  // A matrix of whole weights with its scales and its bias; in floats too, if they are wanted.
  WholeLinear whole_linear(int rows, int columns, Linear* in_floats);

  // Raises Misfit unless everything was read.
  void end() const;

 private:
  const float* next(size_t count);
  Linear packed(const float* padded_weights, const float* bias, int depth, int columns);

  Arena& arena_;
  const float* floats_;
  size_t floats_left_;
  const int8_t* whole_;
  size_t whole_left_;
};
