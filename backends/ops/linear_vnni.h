// Rows of floats times a matrix of integer weights, with AVX-512 VNNI.
//
// The published weights of EdgeFace's MLPs are integers from -128 to 127 times one scale, so they
// are exact here. Their inputs are not: each row is quantized to 16 bits with its own scale,
// x = s (q - 32768). `vpdpbusd` multiplies unsigned bytes by signed ones, 64 at a time, so q is
// stored as two planes of bytes:
//     sum q w = 256 sum high w + sum low w,
// with one pass over a panel for each plane. The arithmetic is modulo 2^32, which is exact if the
// sum of (q - 32768) w fits in a signed 32-bit integer: `levels`, the largest |q - 32768|, is as
// large as that allows. `offset` is -32768 sum w.
#pragma once

#include "linear.h"

namespace {

// Rows in bytes, each with its scale.
struct WholeRows {
  const uint8_t *high, *low;
  ptrdiff_t stride;
  const float* scale;
  float* out;
  ptrdiff_t out_stride;
  const float* added;
};

// Not the intrinsic, with which GCC 12 moves the sums between registers and memory.
AURUM_INLINE void multiply_bytes(__m512i& sum, __m512i bytes, __m512i weights) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(weights));
}

AURUM_INLINE __m512i four_bytes(const uint8_t* from) {
  int32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm512_set1_epi32(four);
}

// Like `block` in linear.h, for four rows of the matrix at once.
template <int VECTORS, int ROWS, Then THEN>
void whole_block(const WholeRows& rows, const WholeLinear& linear, const int8_t* panel, int first) {
  __m512i sum[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) sum[r][v] = _mm512_setzero_si512();
  }
  const auto down = [&](const uint8_t* bytes) __attribute__((always_inline)) {
    const int8_t* weights = panel;
    for (int k = 0; k < linear.depth; k += 4, weights += VECTORS * 64) {
      __m512i w[VECTORS];
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) w[v] = _mm512_loadu_si512(weights + v * 64);
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; ++r) {
        const __m512i x = four_bytes(bytes + r * rows.stride + k);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) multiply_bytes(sum[r][v], x, w[v]);
      }
    }
  };
  down(rows.high);
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; ++v) {
    const __m512i offset = _mm512_loadu_si512(linear.offset + first + v * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      sum[r][v] = _mm512_add_epi32(_mm512_slli_epi32(sum[r][v], 8), offset);
    }
  }
  down(rows.low);
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) {
    const Vector scale = all(rows.scale[r]);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      const int column = first + v * LANES;
      const ptrdiff_t at = r * rows.out_stride + column;
      Vector y = fma(_mm512_cvtepi32_ps(sum[r][v]), scale * load(linear.scale + column),
                     load(linear.bias + column));
      if (THEN == Then::add) y += load(rows.added + at);
      store(rows.out + at, y);
    }
  }
}

template <int VECTORS, int ROWS, Then THEN>
void whole_blocks_of(int height, const WholeRows& rows, const WholeLinear& linear,
                     const int8_t* panel, int first) {
  if constexpr (ROWS > 0) {
    if (height == ROWS) return whole_block<VECTORS, ROWS, THEN>(rows, linear, panel, first);
    whole_blocks_of<VECTORS, ROWS - 1, THEN>(height, rows, linear, panel, first);
  }
}

template <int VECTORS, Then THEN>
void whole_panel(WholeRows rows, int count, const WholeLinear& linear, const int8_t* panel,
                 int first) {
  constexpr int MOST = most_rows(VECTORS);
  for (int blocks = (count + MOST - 1) / MOST; blocks > 0; --blocks) {
    const int height = (count + blocks - 1) / blocks;
    whole_blocks_of<VECTORS, MOST, THEN>(height, rows, linear, panel, first);
    rows.high += height * rows.stride;
    rows.low += height * rows.stride;
    rows.scale += height;
    rows.out += height * rows.out_stride;
    rows.added += height * rows.out_stride;
    count -= height;
  }
}

template <Then THEN>
void multiply(const WholeLinear& linear, const WholeRows& rows, int count) {
  const int8_t* panel = linear.weights;
  for (int column = 0; column < linear.columns;) {
    const int vectors = panel_vectors(linear.columns, (linear.columns - column) / LANES);
    switch (vectors) {
      case 1:
        whole_panel<1, THEN>(rows, count, linear, panel, column);
        break;
      case 2:
        whole_panel<2, THEN>(rows, count, linear, panel, column);
        break;
      case 3:
        whole_panel<3, THEN>(rows, count, linear, panel, column);
        break;
      case 4:
        whole_panel<4, THEN>(rows, count, linear, panel, column);
        break;
      default:
        whole_panel<5, THEN>(rows, count, linear, panel, column);
    }
    panel += static_cast<ptrdiff_t>(linear.depth) * vectors * LANES;
    column += vectors * LANES;
  }
}

// Quantizes a row of floats, in whole vectors, to two planes of bytes; returns its scale.
float to_whole(const float* row, int width, float levels, uint8_t* high, uint8_t* low) {
  Vector sizes = all(1e-20f);
  for (int c = 0; c < width; c += LANES) sizes = most(sizes, _mm512_abs_ps(load(row + c)));
  const float largest = most_of(sizes);
  const Vector scale = all(levels / largest);
  for (int c = 0; c < width; c += LANES) {
    const __m512i q =
        _mm512_add_epi32(_mm512_cvtps_epi32(load(row + c) * scale), _mm512_set1_epi32(32768));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(low + c), _mm512_cvtepi32_epi8(q));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(high + c),
                     _mm512_cvtepi32_epi8(_mm512_srli_epi32(q, 8)));
  }
  return largest / levels;
}

}  // namespace
