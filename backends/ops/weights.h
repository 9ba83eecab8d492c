// Weights in the layout that the kernels read, converted once from those in the graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "memory.h"

// Thrown if an operator of a graph can't be computed by this library; the message says why.
struct Misfit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws Misfit if this processor can't run any of the kernels.
void check_cpu();

constexpr int COLUMNS_PER_VECTOR = 16;

// Channels are padded with zeros to whole vectors.
constexpr int padded(int channels) {
  return (channels + COLUMNS_PER_VECTOR - 1) / COLUMNS_PER_VECTOR * COLUMNS_PER_VECTOR;
}

// A matrix is split into panels of up to this many vectors of columns. Panels are stored from left
// to right, each row by row. They have five vectors if five divides the matrix evenly and four does
// not.
constexpr int panel_vectors(int columns, int vectors_left) {
  const int vectors = columns / COLUMNS_PER_VECTOR;
  const int most = vectors % 5 == 0 && vectors % 4 != 0 ? 5 : 4;
  return vectors_left < most ? vectors_left : most;
}

// y = x W + b.
struct Linear {
  int depth = 0, columns = 0;  // columns: padded to whole vectors
  const float* weights = nullptr;
  const float* bias = nullptr;
};

// The same with integer weights from -128 to 127 and a scale for each column. Within a panel, four
// rows are interleaved, as the instruction needs them: [row / 4][column][row % 4].
struct WholeLinear {
  int depth = 0, columns = 0;
  const int8_t* weights = nullptr;
  const float* scale = nullptr;
  const float* bias = nullptr;
  const int32_t* offset = nullptr;  // see linear_vnni.h, as for
  float levels = 0;
};

// Reads a graph's weights in order, and stores the converted weights in an arena.
class Reader {
 public:
  Reader(Arena& arena, const float* floats, size_t float_count, const int8_t* whole,
         size_t whole_count);

  // `count` numbers, padded with zeros to a multiple of 16.
  const float* row(int count);
  // `rows` such rows, each padded in this way.
  const float* table(int rows, int count);
  // A matrix of `rows` x `columns` and its bias. Its rows consist of `groups` groups of channels,
  // its columns of `column_groups`; each group is padded.
  Linear linear(int rows, int columns, int groups = 1, int column_groups = 1);
  // A matrix of integer weights with its scales and its bias; optionally in floats, too.
  WholeLinear whole_linear(int rows, int columns, Linear* in_floats);

  // Throws Misfit unless everything was read.
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
