// Rows of floats times a matrix of weights in panels (weights.h).
//
// Each step computes a block of rows for one panel, or, with AVX2's fewer registers, for one vector
// of a panel. All its sums, `rows` x `vectors`, are in registers, where a panel is `vectors` x 16
// columns wide. For each row of the matrix, this loads `vectors` vectors of weights and, for each
// row of the block, one number for all lanes, so rows x vectors multiplications cost rows + vectors
// loads. A panel is read from top to bottom once for each block of rows; from the second block on
// it is in the first-level cache.
#pragma once

#include "simd.h"
#include "weights.h"

namespace {

// The operation on a sum before it is stored.
enum class Then { nothing, gelu, add };

// GELU(x) = x Phi(x), where Phi is the normal distribution function: 0.5 plus an odd polynomial,
// fitted between -4.8 and 4.8, beyond which Phi is 0 or 1. The error is at most 5e-6. The variable
// of the polynomial is z = 2 (x / 4.8)^2 - 1, from -1 to 1, so that its terms don't cancel.
AURUM_INLINE Vector gelu(Vector x) {
  constexpr float END = 4.8f;
  const Vector c = clamp(x, -END, END);
  const Vector z = fma(c * c, all(2 / (END * END)), all(-1.0f));
  Vector p = all(1.443729779e-03f);
  p = fma(p, z, all(-4.194617960e-03f));
  p = fma(p, z, all(5.392359541e-03f));
  p = fma(p, z, all(-7.443375703e-03f));
  p = fma(p, z, all(1.386409322e-02f));
  p = fma(p, z, all(-2.218753900e-02f));
  p = fma(p, z, all(3.072082210e-02f));
  p = fma(p, z, all(-4.056592653e-02f));
  p = fma(p, z, all(5.290409869e-02f));
  p = fma(p, z, all(-7.297975941e-02f));
  p = fma(p, z, all(1.472127832e-01f));
  return x * fma(p, c, all(0.5f));
}

// The number of rows that leaves registers for the weights of one step.
constexpr int most_rows(int vectors) {
  if (REGISTERS < 32) return 6;
  return vectors == 1 ? 16 : vectors <= 3 ? 8 : vectors == 4 ? 6 : 5;
}

// Rows of numbers, and where to put their products with a matrix.
template <class Number>
struct Rows {
  const Number* in;
  ptrdiff_t in_stride;
  float* out;
  ptrdiff_t out_stride;
  const float* added = nullptr;  // for Then::add, with the output's row stride; may be the output
  const float* scale = nullptr;  // of each row of integers

  void skip(int count) {
    in += count * in_stride;
    out += count * out_stride;
    if (added != nullptr) added += count * out_stride;
    if (scale != nullptr) scale += count;
  }
  void skip_columns(int count) {
    out += count;
    if (added != nullptr) added += count;
  }
};

// Some columns of a matrix. `stride` is the width of the stored panel.
template <class Weight>
struct Panel {
  const Weight* weights;
  int stride, depth;
  const float *bias, *scale;
};

// Stores the sums of a block.
template <int VECTORS, int ROWS, Then THEN, class Number>
AURUM_INLINE void put(const Rows<Number>& rows, const Vector (&sum)[ROWS][VECTORS]) {
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      const ptrdiff_t at = r * rows.out_stride + v * LANES;
      Vector y = sum[r][v];
      if (THEN == Then::add) y += load(rows.added + at);
      store(rows.out + at, y);
    }
  }
  if (THEN != Then::gelu) return;
  // After the sums are stored, because GELU needs their registers.
  for (int r = 0; r < ROWS; ++r) {
    for (int v = 0; v < VECTORS; ++v) {
      float* const at = rows.out + r * rows.out_stride + v * LANES;
      store(at, gelu(load(at)));
    }
  }
}

template <int VECTORS, int ROWS, Then THEN>
void block(const Rows<float>& rows, const Panel<float>& panel) {
  Vector sum[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; ++v) {
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) sum[r][v] = load(panel.bias + v * LANES);
  }
  const float* const in = rows.in;
  const float* weights = panel.weights;
  for (int k = 0; k < panel.depth; ++k, weights += panel.stride) {
    Vector w[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) w[v] = kept(load(weights + v * LANES));
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      const Vector x = all(in[r * rows.in_stride + k]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) sum[r][v] = fma(x, w[v], sum[r][v]);
    }
  }
  put<VECTORS, ROWS, THEN>(rows, sum);
}

// Splits `count` rows into blocks of nearly equal height, at most ROWS: a smaller last block would
// have too few sums to keep both multipliers busy.
template <int VECTORS, int ROWS, Then THEN, class Number, class Weight>
void blocks_of(int height, const Rows<Number>& rows, const Panel<Weight>& panel) {
  if constexpr (ROWS > 0) {
    if (height == ROWS) return block<VECTORS, ROWS, THEN>(rows, panel);
    blocks_of<VECTORS, ROWS - 1, THEN>(height, rows, panel);
  }
}

template <int VECTORS, Then THEN, class Number, class Weight>
void multiply_panel(Rows<Number> rows, int count, const Panel<Weight>& panel) {
  constexpr int MOST = most_rows(VECTORS);
  for (int blocks = (count + MOST - 1) / MOST; blocks > 0; --blocks) {
    const int height = (count + blocks - 1) / blocks;
    blocks_of<VECTORS, MOST, THEN>(height, rows, panel);
    rows.skip(height);
    count -= height;
  }
}

// out = THEN(in x weights + bias), for `count` rows.
template <Then THEN, class Number, class Weight>
void multiply(const Linear& linear, const Weight* weights, Rows<Number> rows, int count) {
  Panel<Weight> panel{weights, 0, linear.depth, linear.bias, linear.scale};
  for (int left = linear.columns / LANES; left > 0;) {
    const int vectors = panel_vectors(linear.columns, left);
    // Of AVX2's registers, a whole panel would leave too few for the rows.
    const int together = REGISTERS < 32 ? 1 : vectors;
    panel.stride = vectors * LANES;
    for (int v = 0; v < vectors; v += together) {
      if constexpr (REGISTERS < 32) {
        multiply_panel<1, THEN>(rows, count, panel);
      } else {
        const auto whole_panel = vectors == 1   ? multiply_panel<1, THEN, Number, Weight>
                                 : vectors == 2 ? multiply_panel<2, THEN, Number, Weight>
                                 : vectors == 3 ? multiply_panel<3, THEN, Number, Weight>
                                 : vectors == 4 ? multiply_panel<4, THEN, Number, Weight>
                                                : multiply_panel<5, THEN, Number, Weight>;
        whole_panel(rows, count, panel);
      }
      panel.weights += together * LANES;
      panel.bias += together * LANES;
      if (panel.scale != nullptr) panel.scale += together * LANES;
      rows.skip_columns(together * LANES);
    }
    panel.weights += ptrdiff_t(linear.depth - 1) * panel.stride;
    left -= vectors;
  }
}

// Scratch memory for quantized rows.
struct Room {
  int16_t* integers;
  float* scales;
};

// Multiplies in floats.
struct Floats {
  template <Then THEN>
  static void multiply(const Linear& linear, const Rows<float>& rows, int count, Room, int = 1) {
    ::multiply<THEN>(linear, linear.floats, rows, count);
  }
};

}  // namespace
