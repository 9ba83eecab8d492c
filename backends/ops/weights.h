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

// y = x W + b, for rows x. Of the three pointers to weights one is set: floats for processors
// without VNNI, otherwise integers, 8 bits wide if the graph has such, and 16 bits wide if they
// were quantized here. A column of integers has a scale, and their rows are interleaved in twos
// within a panel, as the instruction needs them: [row / 2][column][row % 2].
struct Linear {
  int depth = 0, columns = 0;  // columns: padded to whole vectors
  const float* bias = nullptr;
  const float* floats = nullptr;
  const int8_t* bytes = nullptr;
  const int16_t* shorts = nullptr;
  const float* scale = nullptr;  // of the integers in each column
  float levels = 0;  // the largest integer of a quantized row x for which no sum can overflow
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
  // A matrix of the graph's integers, with its scales and its bias.
  Linear whole_linear(int rows, int columns);

  // Throws Misfit unless everything was read.
  void end() const;

 private:
  const float* next(size_t count);
  // Puts a matrix, whose rows and columns are padded already, into panels.
  void pack(Linear& linear, const float* weights);
  void quantize(Linear& linear, const float* weights);

  Arena& arena_;
  const float* floats_;
  size_t floats_left_;
  const int8_t* whole_;
  size_t whole_left_;
};
