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

struct Rows {
  const float* in;
  ptrdiff_t in_stride;
  float* out;
  ptrdiff_t out_stride;
  const float* added;  // for Then::add, with the output's row stride; may be the output itself
};

template <int VECTORS, int ROWS, Then THEN>
void block(const Rows& rows, const float* weights, int stride, const float* bias, int depth) {
  Vector sum[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; ++v) {
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) sum[r][v] = load(bias + v * LANES);
  }
  const float* const in = rows.in;
  for (int k = 0; k < depth; ++k, weights += stride) {
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

// Splits `count` rows into blocks of nearly equal height, at most ROWS: a smaller last block would
// have too few sums to keep both multipliers busy.
template <int VECTORS, int ROWS, Then THEN>
void blocks_of(int height, const Rows& rows, const float* weights, int stride, const float* bias,
               int depth) {
  if constexpr (ROWS > 0) {
    if (height == ROWS) return block<VECTORS, ROWS, THEN>(rows, weights, stride, bias, depth);
    blocks_of<VECTORS, ROWS - 1, THEN>(height, rows, weights, stride, bias, depth);
  }
}

// Computes VECTORS vectors of a panel whose rows are `stride` wide.
template <int VECTORS, Then THEN>
void panel(Rows rows, int count, const float* weights, int stride, const float* bias, int depth) {
  constexpr int MOST = most_rows(VECTORS);
  for (int blocks = (count + MOST - 1) / MOST; blocks > 0; --blocks) {
    const int height = (count + blocks - 1) / blocks;
    blocks_of<VECTORS, MOST, THEN>(height, rows, weights, stride, bias, depth);
    rows.in += height * rows.in_stride;
    rows.out += height * rows.out_stride;
    rows.added += height * rows.out_stride;
    count -= height;
  }
}

// out = THEN(in x weights + bias), for `count` rows.
template <Then THEN>
void multiply(const Linear& linear, Rows rows, int count) {
  const float *weights = linear.weights, *bias = linear.bias;
  for (int left = linear.columns / LANES; left > 0;) {
    const int vectors = panel_vectors(linear.columns, left), stride = vectors * LANES;
    if constexpr (REGISTERS < 32) {
      for (int v = 0; v < vectors; ++v) {
        const int column = v * LANES;
        const Rows part{rows.in, rows.in_stride, rows.out + column, rows.out_stride,
                        rows.added + column};
        panel<1, THEN>(part, count, weights + column, stride, bias + column, linear.depth);
      }
    } else {
      const auto all_of_it = vectors == 1   ? panel<1, THEN>
                             : vectors == 2 ? panel<2, THEN>
                             : vectors == 3 ? panel<3, THEN>
                             : vectors == 4 ? panel<4, THEN>
                                            : panel<5, THEN>;
      all_of_it(rows, count, weights, stride, bias, linear.depth);
    }
    left -= vectors;
    weights += ptrdiff_t(linear.depth) * stride;
    bias += stride;
    rows.out += stride;
    rows.added += stride;
  }
}

}  // namespace
