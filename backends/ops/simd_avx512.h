// Sixteen floats at a time. Only for files that are compiled for AVX-512: all of it is `static`, so
// that no other file can be linked to a copy that an older processor can't run.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define AURUM_INLINE static inline __attribute__((always_inline))

using Vector = __m512;
constexpr int LANES = 16;

AURUM_INLINE Vector load(const float* from) { return _mm512_loadu_ps(from); }
AURUM_INLINE void store(float* to, Vector value) { _mm512_storeu_ps(to, value); }
AURUM_INLINE Vector all(float value) { return _mm512_set1_ps(value); }
AURUM_INLINE Vector zero() { return _mm512_setzero_ps(); }
// a * b + c, rounded once.
AURUM_INLINE Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
AURUM_INLINE Vector clamp(Vector value, float low, float high) {
  return _mm512_min_ps(_mm512_max_ps(value, all(low)), all(high));
}

// As it is, in a register. GCC would else fold a load that several instructions share into each of
// them, and load it as often.
AURUM_INLINE Vector kept(Vector value) {
  __asm__("" : "+v"(value));
  return value;
}

// The lanes that the last of several vectors has, where `count` numbers fill them.
AURUM_INLINE __mmask16 last_lanes(int count) {
  return static_cast<__mmask16>(0xffff >> (LANES - 1 - (count - 1) % LANES));
}

// e^x to 2 ulp, for x from -87 to 88: x = n ln 2 + r, and a polynomial (Cephes' expf) for e^r. ln 2
// is subtracted in two parts, of which n times the first is exact.
AURUM_INLINE Vector exp(Vector x) {
  x = clamp(x, -87.0f, 88.0f);
  const Vector n = _mm512_roundscale_ps(x * all(1.44269504f), _MM_FROUND_TO_NEAREST_INT);
  Vector r = _mm512_fnmadd_ps(n, all(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, all(-2.12194440e-4f), r);
  Vector p = all(1.9875691500e-4f);
  p = fma(p, r, all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  p = fma(r * r, p, r + all(1.0f));
  return _mm512_scalef_ps(p, n);
}
