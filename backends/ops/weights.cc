#include "weights.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "cpu.h"

namespace {

// The position of a matrix's element in its panels of `depth` rows, of which `together` rows are
// interleaved.
template <class Element, class Value>
void into_panels(Element* to, int depth, int columns, int together, Value value) {
  const int vectors = columns / COLUMNS_PER_VECTOR;
  for (int first = 0; first < vectors;) {
    const int width = panel_vectors(columns, vectors - first) * COLUMNS_PER_VECTOR;
    for (int row = 0; row < depth; row += together) {
      for (int column = 0; column < width; ++column) {
        for (int i = 0; i < together; ++i) {
          const bool there = row + i < depth;
          *to++ = there ? value(row + i, first * COLUMNS_PER_VECTOR + column) : Element{0};
        }
      }
    }
    first += width / COLUMNS_PER_VECTOR;
  }
}

}  // namespace

void check_cpu() {
  if (cpu() == Cpu::plain) throw Misfit("this processor has neither AVX2 with FMA nor AVX-512");
}

Reader::Reader(Arena& arena, const float* floats, size_t float_count, const int8_t* whole,
               size_t whole_count)
    : arena_(arena),
      floats_(floats),
      floats_left_(float_count),
      whole_(whole),
      whole_left_(whole_count) {}

const float* Reader::next(size_t count) {
  if (count > floats_left_) throw Misfit("the graph has too few weights");
  floats_left_ -= count;
  floats_ += count;
  return floats_ - count;
}

const float* Reader::row(int count) { return table(1, count); }

const float* Reader::table(int rows, int count) {
  float* const made = arena_.take<float>(size_t(rows) * padded(count));
  const float* from = next(size_t(rows) * count);
  for (int row = 0; row < rows; ++row, from += count) {
    std::copy(from, from + count, made + size_t(row) * padded(count));
  }
  return made;
}

Linear Reader::linear(int rows, int columns, int groups, int column_groups) {
  const int depth = groups * padded(rows), width = column_groups * padded(columns);
  const float* const from = next(size_t(groups) * rows * column_groups * columns);
  std::vector<float> spread(size_t(depth) * width);
  const float* at = from;
  for (int group = 0; group < groups; ++group) {
    for (int row = 0; row < rows; ++row) {
      for (int part = 0; part < column_groups; ++part, at += columns) {
        const size_t to = (size_t(group) * padded(rows) + row) * width + part * padded(columns);
        std::copy(at, at + columns, spread.begin() + to);
      }
    }
  }
  return packed(spread.data(), table(column_groups, columns), depth, width);
}

Linear Reader::packed(const float* weights, const float* bias, int depth, int columns) {
  float* const made = arena_.take<float>(size_t(depth) * columns);
  into_panels(made, depth, columns, 1,
              [&](int row, int column) { return weights[size_t(row) * columns + column]; });
  return {depth, columns, made, bias};
}

WholeLinear Reader::whole_linear(int rows, int columns, Linear* in_floats) {
  const size_t count = size_t(rows) * columns;
  if (count > whole_left_) throw Misfit("the graph has too few whole weights");
  const int8_t* const from = whole_;
  whole_ += count;
  whole_left_ -= count;
  const float *const scale = row(columns), *const bias = row(columns);
  const int width = padded(columns);
  const auto weight = [&](int row, int column) {
    return column < columns ? from[size_t(row) * columns + column] : int8_t{0};
  };
  if (in_floats != nullptr) {
    // The matrix gets as many rows as its input has channels, which are padded to whole vectors.
    std::vector<float> floats(size_t(padded(rows)) * width);
    for (int row = 0; row < rows; ++row) {
      for (int column = 0; column < width; ++column) {
        floats[size_t(row) * width + column] = weight(row, column) * scale[column];
      }
    }
    *in_floats = packed(floats.data(), bias, padded(rows), width);
    return {};
  }
  const int depth = (rows + 3) / 4 * 4;
  int8_t* const made = arena_.take<int8_t>(size_t(depth) * width);
  into_panels(made, rows, width, 4, weight);
  int32_t* const offset = arena_.take<int32_t>(width);
  int largest = 1;
  for (int column = 0; column < columns; ++column) {
    int sum = 0, size = 0;
    for (int row = 0; row < rows; ++row) {
      sum += weight(row, column);
      size += std::abs(weight(row, column));
    }
    largest = std::max(largest, size);
    offset[column] = static_cast<int32_t>(0u - 32768u * static_cast<uint32_t>(sum));
  }
  // Less than 2^31 by the largest error of rounding to the nearest.
  const int levels = std::min(32767, (std::numeric_limits<int32_t>::max() - largest) / largest);
  return {depth, width, made, scale, bias, offset, static_cast<float>(levels)};
}

void Reader::end() const {
  if (floats_left_ != 0 || whole_left_ != 0) {
    throw Misfit("the graph has " + std::to_string(floats_left_ + whole_left_) +
                 " weights too many");
  }
}
