// YuNet for AVX-512 VNNI.

#include "linear_vnni.h"
#include "yunet_net.h"

namespace yunet {
namespace {

// The stem in integers: of the pixels, which are integers already, two adjacent ones are multiplied
// at once.
struct IntegerStem {
  using Pixel = int16_t;
  static constexpr int PIXELS = 16;

  static void convert(__m128i bytes, Pixel* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepu8_epi16(bytes));
  }

  // Like FloatStem's. The second pair of a pixel's three columns, whose last weight is 0, is the
  // first pair of the next pixel.
  static void convolve(const Pixel* const rows[9], const Linear& stem, float* out) {
    __m512i sum[PIXELS];
    for (__m512i& one : sum) one = _mm512_setzero_si512();
#pragma GCC unroll 1
    for (int i = 0; i < 9; ++i) {
      const int16_t* const weights = stem.shorts + i * padded(3) * STEM;
      const __m512i first = load_pairs(weights), second = load_pairs(weights + 2 * STEM);
#pragma GCC unroll 17
      for (int p = 0; p <= PIXELS; ++p) {
        const __m512i x = all_pairs(rows[i] + 2 * p);
        if (p < PIXELS) multiply_pairs(sum[p], x, first);
        if (p > 0) multiply_pairs(sum[p - 1], x, second);
      }
    }
    const Vector scale = load(stem.scale), bias = load(stem.bias);
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) {
      store(out + p * STEM, most(fma(_mm512_cvtepi32_ps(sum[p]), scale, bias), zero()));
    }
  }
};

}  // namespace

const Compiled AVX512_VNNI{count_floats, detect_one<Integers, IntegerStem>};

}  // namespace yunet
