// Vectors of sixteen floats, in one register of AVX-512 or in two of AVX2, depending on the flags
// of the including file. Everything is `static`, so that no file can be linked to a copy that an
// older processor can't run.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define AURUM_INLINE static inline __attribute__((always_inline))

constexpr int LANES = 16;

#ifdef __AVX512F__

using Vector = __m512;
using Lanes = __mmask16;  // a subset of the sixteen lanes

// The number of vectors that fit in all registers.
constexpr int REGISTERS = 32;

AURUM_INLINE Vector load(const float* from) { return _mm512_loadu_ps(from); }
AURUM_INLINE void store(float* to, Vector value) { _mm512_storeu_ps(to, value); }
AURUM_INLINE Vector all(float value) { return _mm512_set1_ps(value); }
AURUM_INLINE Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
AURUM_INLINE Vector most(Vector a, Vector b) { return _mm512_max_ps(a, b); }
AURUM_INLINE Vector least(Vector a, Vector b) { return _mm512_min_ps(a, b); }
AURUM_INLINE Vector root(Vector a) { return _mm512_sqrt_ps(a); }
AURUM_INLINE Vector quotient(Vector a, Vector b) { return _mm512_div_ps(a, b); }
AURUM_INLINE Vector nearest(Vector a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a 2^n, for integer n.
AURUM_INLINE Vector times_power(Vector a, Vector n) { return _mm512_scalef_ps(a, n); }
AURUM_INLINE float sum_of(Vector a) { return _mm512_reduce_add_ps(a); }
AURUM_INLINE float most_of(Vector a) { return _mm512_reduce_max_ps(a); }
AURUM_INLINE Vector from_bytes(__m128i bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}
AURUM_INLINE Vector kept(Vector value) {
  __asm__("" : "+v"(value));
  return value;
}

AURUM_INLINE Lanes first_lanes(int count) {
  return static_cast<Lanes>(count >= LANES ? 0xffff : (1 << count) - 1);
}
AURUM_INLINE Vector load(const float* from, Lanes lanes) {
  return _mm512_maskz_loadu_ps(lanes, from);
}
AURUM_INLINE void store(float* to, Vector value, Lanes lanes) {
  _mm512_mask_storeu_ps(to, lanes, value);
}
AURUM_INLINE Vector or_else(Vector value, float other, Lanes lanes) {
  return _mm512_mask_mov_ps(all(other), lanes, value);
}

#else

struct Vector {
  __m256 low, high;
};
struct Lanes {
  __m256i low, high;
};

constexpr int REGISTERS = 8;

AURUM_INLINE Vector load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
AURUM_INLINE void store(float* to, Vector value) {
  _mm256_storeu_ps(to, value.low);
  _mm256_storeu_ps(to + 8, value.high);
}
AURUM_INLINE Vector all(float value) {
  const __m256 one = _mm256_set1_ps(value);
  return {one, one};
}
AURUM_INLINE Vector operator+(Vector a, Vector b) { return {a.low + b.low, a.high + b.high}; }
AURUM_INLINE Vector operator-(Vector a, Vector b) { return {a.low - b.low, a.high - b.high}; }
AURUM_INLINE Vector operator*(Vector a, Vector b) { return {a.low * b.low, a.high * b.high}; }
AURUM_INLINE Vector& operator+=(Vector& a, Vector b) { return a = a + b; }
AURUM_INLINE Vector fma(Vector a, Vector b, Vector c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
AURUM_INLINE Vector most(Vector a, Vector b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
AURUM_INLINE Vector least(Vector a, Vector b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
AURUM_INLINE Vector root(Vector a) { return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }
AURUM_INLINE Vector quotient(Vector a, Vector b) { return {a.low / b.low, a.high / b.high}; }
AURUM_INLINE Vector nearest(Vector a) {
  constexpr int MODE = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, MODE), _mm256_round_ps(a.high, MODE)};
}
// Computed from its bits: n from -126 to 127 is the exponent.
AURUM_INLINE __m256 power(__m256 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
AURUM_INLINE Vector times_power(Vector a, Vector n) {
  return {a.low * power(n.low), a.high * power(n.high)};
}
AURUM_INLINE float sum_of(Vector a) {
  const __m256 eight = a.low + a.high;
  __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
  four = four + _mm_movehl_ps(four, four);
  return four[0] + four[1];
}
AURUM_INLINE float most_of(Vector a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return four[0] > four[1] ? four[0] : four[1];
}
AURUM_INLINE Vector from_bytes(__m128i bytes) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes)))};
}
AURUM_INLINE Vector kept(Vector value) {
  __asm__("" : "+x"(value.low), "+x"(value.high));
  return value;
}

AURUM_INLINE Lanes first_lanes(int count) {
  const __m256i limit = _mm256_set1_epi32(count);
  const __m256i place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_cmpgt_epi32(limit, place),
          _mm256_cmpgt_epi32(limit, _mm256_add_epi32(place, _mm256_set1_epi32(8)))};
}
AURUM_INLINE Vector load(const float* from, Lanes lanes) {
  return {_mm256_maskload_ps(from, lanes.low), _mm256_maskload_ps(from + 8, lanes.high)};
}
AURUM_INLINE void store(float* to, Vector value, Lanes lanes) {
  _mm256_maskstore_ps(to, lanes.low, value.low);
  _mm256_maskstore_ps(to + 8, lanes.high, value.high);
}
AURUM_INLINE Vector or_else(Vector value, float other, Lanes lanes) {
  const __m256 rest = _mm256_set1_ps(other);
  return {_mm256_blendv_ps(rest, value.low, _mm256_castsi256_ps(lanes.low)),
          _mm256_blendv_ps(rest, value.high, _mm256_castsi256_ps(lanes.high))};
}

#endif

// The functions above: fma is a b + c, rounded once; kept returns its value in registers, because
// GCC would otherwise fold a load that several instructions share into each of them and repeat it;
// or_else has `other` in all lanes except the given ones.

AURUM_INLINE Vector zero() { return all(0.0f); }
AURUM_INLINE Vector clamp(Vector value, float low, float high) {
  return least(most(value, all(low)), all(high));
}

// e^x to 2 ulp, for x from -87 to 88: x = n ln 2 + r, and a polynomial (Cephes' expf) for e^r. ln 2
// is subtracted in two parts, of which n times the first is exact.
AURUM_INLINE Vector exp(Vector x) {
  x = clamp(x, -87.0f, 88.0f);
  const Vector n = nearest(x * all(1.44269504f));
  Vector r = fma(n, all(-0.693359375f), x);
  r = fma(n, all(2.12194440e-4f), r);
  Vector p = all(1.9875691500e-4f);
  p = fma(p, r, all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  p = fma(r * r, p, r + all(1.0f));
  return times_power(p, n);
}
