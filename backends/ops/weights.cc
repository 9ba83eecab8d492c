#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "cpu.h"

namespace {

// No sum of integers may exceed this.
constexpr int64_t MOST = std::numeric_limits<int32_t>::max();

// Copies a matrix into its panels, in which `together` rows are interleaved.
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

bool by_integers() { return cpu() == Cpu::avx512_vnni; }

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
  Linear made;
  made.depth = groups * padded(rows);
  made.columns = column_groups * padded(columns);
  const float* at = next(size_t(groups) * rows * column_groups * columns);
  std::vector<float> weights(size_t(made.depth) * made.columns);
  for (int group = 0; group < groups; ++group) {
    for (int row = 0; row < rows; ++row) {
      for (int part = 0; part < column_groups; ++part, at += columns) {
        const size_t to = (size_t(group) * padded(rows) + row) * made.columns;
        std::copy(at, at + columns, weights.begin() + to + part * padded(columns));
      }
    }
  }
  made.bias = table(column_groups, columns);
  by_integers() ? quantize(made, weights.data()) : pack(made, weights.data());
  return made;
}

void Reader::pack(Linear& linear, const float* weights) {
  float* const made = arena_.take<float>(size_t(linear.depth) * linear.columns);
  linear.floats = made;
  into_panels(made, linear.depth, linear.columns, 1,
              [&](int row, int column) { return weights[size_t(row) * linear.columns + column]; });
}

// The 31 bits of a sum are divided between x and the weights, so that rounding either adds about
// the same error to a sum of many products.
void Reader::quantize(Linear& linear, const float* weights) {
  const int levels =
      std::min<int>(std::numeric_limits<int16_t>::max(), 1e5 / std::sqrt(linear.depth));
  float* const scale = arena_.take<float>(linear.columns);
  for (int column = 0; column < linear.columns; ++column) {
    double sum = 0, largest = 0;
    for (int row = 0; row < linear.depth; ++row) {
      const double size = std::abs(weights[size_t(row) * linear.columns + column]);
      sum += size;
      largest = std::max(largest, size);
    }
    // Rounding can add a half to each weight.
    const double room = static_cast<double>(MOST / levels) - linear.depth;
    const double unit = std::max(sum / room, largest / std::numeric_limits<int16_t>::max());
    scale[column] = std::max(static_cast<float>(unit), std::numeric_limits<float>::min());
  }
  int16_t* const made = arena_.take<int16_t>(size_t(linear.depth) * linear.columns);
  into_panels(made, linear.depth, linear.columns, 2, [&](int row, int column) {
    const float weight = weights[size_t(row) * linear.columns + column];
    return static_cast<int16_t>(std::lrint(weight / scale[column]));
  });
  linear.shorts = made;
  linear.scale = scale;
  linear.levels = levels;
}

Linear Reader::whole_linear(int rows, int columns) {
  const size_t count = size_t(rows) * columns;
  if (count > whole_left_) throw Misfit("the graph has too few whole weights");
  const int8_t* const from = whole_;
  whole_ += count;
  whole_left_ -= count;
  Linear made;
  made.depth = padded(rows);
  made.columns = padded(columns);
  made.scale = row(columns);
  made.bias = row(columns);
  const auto weight = [&](int row, int column) {
    return row < rows && column < columns ? from[size_t(row) * columns + column] : int8_t{0};
  };
  if (!by_integers()) {
    std::vector<float> weights(size_t(made.depth) * made.columns);
    for (int row = 0; row < made.depth; ++row) {
      for (int column = 0; column < made.columns; ++column) {
        weights[size_t(row) * made.columns + column] = weight(row, column) * made.scale[column];
      }
    }
    pack(made, weights.data());
    return made;
  }
  int8_t* const bytes = arena_.take<int8_t>(size_t(made.depth) * made.columns);
  into_panels(bytes, made.depth, made.columns, 2, weight);
  made.bytes = bytes;
  int64_t largest = 1;
  for (int column = 0; column < columns; ++column) {
    int64_t sum = 0;
    for (int row = 0; row < rows; ++row) sum += std::abs(weight(row, column));
    largest = std::max(largest, sum);
  }
  made.levels = std::min<int64_t>(std::numeric_limits<int16_t>::max(), MOST / largest);
  return made;
}

void Reader::end() const {
  if (floats_left_ != 0 || whole_left_ != 0) {
    throw Misfit("the graph has " + std::to_string(floats_left_ + whole_left_) +
                 " weights too many");
  }
}
