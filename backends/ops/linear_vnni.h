// Rows of floats times a matrix of integer weights, with AVX-512 VNNI.
//
// `vpdpwssd` adds 32 products of 16-bit integers to 16 sums, twice as many as a multiplication of
// floats. The rows are quantized to integers from -levels to levels, with a scale for one row or
// for several; `levels` is so small that no sum can overflow.
#pragma once

#include <algorithm>

#include "linear.h"

namespace {

// Not the intrinsic, with which GCC 12 moves the sums between registers and memory.
AURUM_INLINE void multiply_pairs(__m512i& sum, __m512i a, __m512i b) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

AURUM_INLINE __m512i all_pairs(const int16_t* from) {
  int32_t two;
  __builtin_memcpy(&two, from, sizeof two);
  return _mm512_set1_epi32(two);
}

AURUM_INLINE __m512i kept(__m512i value) {
  __asm__("" : "+v"(value));
  return value;
}

AURUM_INLINE __m512i load_pairs(const int16_t* from) { return _mm512_loadu_si512(from); }
AURUM_INLINE __m512i load_pairs(const int8_t* from) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// Like `block` in linear.h, for two rows of the matrix at once.
template <int VECTORS, int ROWS, Then THEN, class Weight>
void block(const Rows<int16_t>& rows, const Panel<Weight>& panel) {
  __m512i sum[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) sum[r][v] = _mm512_setzero_si512();
  }
  const Weight* weights = panel.weights;
  for (int k = 0; k < panel.depth; k += 2, weights += VECTORS * 2 * LANES) {
    __m512i w[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) w[v] = kept(load_pairs(weights + v * 2 * LANES));
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      const __m512i x = all_pairs(rows.in + r * rows.in_stride + k);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) multiply_pairs(sum[r][v], x, w[v]);
    }
  }
  Vector scaled[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) {
    const Vector scale = all(rows.scale[r]);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      scaled[r][v] = fma(_mm512_cvtepi32_ps(sum[r][v]), scale * load(panel.scale + v * LANES),
                         load(panel.bias + v * LANES));
    }
  }
  put<VECTORS, ROWS, THEN>(rows, scaled);
}

// Quantizes `count` floats, in whole vectors; returns their scale.
float quantize(const float* from, ptrdiff_t count, float levels, int16_t* to) {
  constexpr int TOGETHER = 4;  // because each maximum waits for the one before
  Vector sizes[TOGETHER];
  for (Vector& size : sizes) size = all(1e-20f);
  ptrdiff_t i = 0;
  for (; i + TOGETHER * LANES <= count; i += TOGETHER * LANES) {
#pragma GCC unroll 4
    for (int t = 0; t < TOGETHER; ++t) {
      sizes[t] = most(sizes[t], _mm512_abs_ps(load(from + i + t * LANES)));
    }
  }
  for (; i < count; i += LANES) sizes[0] = most(sizes[0], _mm512_abs_ps(load(from + i)));
  const float largest = most_of(most(most(sizes[0], sizes[1]), most(sizes[2], sizes[3])));
  const Vector scale = all(levels / largest);
  for (i = 0; i < count; i += LANES) {
    const __m512i integers = _mm512_cvtps_epi32(load(from + i) * scale);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm512_cvtsepi32_epi16(integers));
  }
  return largest / levels;
}

// Multiplies in integers. `together` adjacent rows have a common scale.
struct Integers {
  template <Then THEN>
  static void multiply(const Linear& linear, const Rows<float>& rows, int count, Room room,
                       int together = 1) {
    for (int first = 0; first < count; first += together) {
      const ptrdiff_t at = first * rows.in_stride;
      const float scale =
          quantize(rows.in + at, together * rows.in_stride, linear.levels, room.integers + at);
      std::fill_n(room.scales + first, together, scale);
    }
    const Rows<int16_t> quantized{room.integers,   rows.in_stride, rows.out,
                                  rows.out_stride, rows.added,     room.scales};
    if (linear.bytes != nullptr) {
      ::multiply<THEN>(linear, linear.bytes, quantized, count);
    } else {
      ::multiply<THEN>(linear, linear.shorts, quantized, count);
    }
  }
};

}  // namespace
