#include "landmarks.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace yunet {

namespace {

constexpr int MIRRORED[POINTS] = {1, 0, 2, 4, 3};  // index of each landmark in the mirror image

// Splits a crop into planes; after them come those of its mirror image.
void split(const uint8_t* crop, int64_t side, uint8_t* planes) {
  const int64_t area = side * side;
  for (int64_t y = 0; y < side; ++y) {
    uint8_t* const row = planes + y * side;
    uint8_t* const turned = row + 3 * area + side - 1;
    for (int64_t x = 0; x < side; ++x, crop += 3) {
      for (int plane = 0; plane < 3; ++plane) {
        row[plane * area + x] = turned[plane * area - x] = crop[plane];
      }
    }
  }
}

// Landmarks [5][2] of the mirror image, as they are in the crop.
void turn(float* landmarks, int64_t side) {
  float turned[POINTS][2];
  for (int point = 0; point < POINTS; ++point) {
    const float* const from = landmarks + 2 * MIRRORED[point];
    turned[point][0] = side - 1 - from[0];
    turned[point][1] = from[1];
  }
  std::copy_n(turned[0], POINTS * 2, landmarks);
}

}  // namespace

SecondLook::SecondLook(const Options& options, const Middle& middle, const float* weights,
                       size_t count)
    : middle_(middle), sure_(options.sure), detector_(options, weights, count) {}

void SecondLook::run(const uint8_t* crops, int64_t count, int64_t side, float* landmarks,
                     float* scores) {
  const int64_t looks = 2 * count, bytes = side * side * 3;
  std::vector<uint8_t> planes(looks * bytes);
  for (int64_t n = 0; n < count; ++n) split(crops + n * bytes, side, planes.data() + 2 * n * bytes);
  int64_t listed = 0;
  std::vector<float> boxes, points, likely;
  detector_.run(planes.data(), looks, side, side, [&](int64_t k) {
    listed = k;
    boxes.resize(looks * k * 4);
    points.resize(looks * k * POINTS * 2);
    likely.resize(looks * k);
    return Candidates{boxes.data(), points.data(), likely.data()};
  });
  std::fill_n(landmarks, count * POINTS * 2, 0.0f);
  std::fill_n(scores, count, 0.0f);
  for (int64_t n = 0; n < count; ++n, landmarks += POINTS * 2, ++scores) {
    int seen = 0;
    for (int64_t look = 2 * n; look < 2 * n + 2; ++look) {
      float total = 0, mean[POINTS * 2] = {}, best = 0;
      for (int64_t i = look * listed; i < (look + 1) * listed; ++i) {
        float* const found = points.data() + i * POINTS * 2;
        if (look % 2 == 1) turn(found, side);
        bool near = likely[i] >= sure_;
        for (int v = 0; v < POINTS * 2; ++v) {
          near = near && std::abs(found[v] - middle_.expected[v / 2][v % 2]) < middle_.near;
        }
        if (!near) continue;
        const float weight = std::pow(likely[i], middle_.power);
        total += weight;
        best = std::max(best, likely[i]);
        for (int v = 0; v < POINTS * 2; ++v) mean[v] += weight * found[v];
      }
      if (total == 0) continue;
      ++seen;
      *scores += best / 2;
      for (int v = 0; v < POINTS * 2; ++v) landmarks[v] += mean[v] / total;
    }
    for (int v = 0; seen > 1 && v < POINTS * 2; ++v) landmarks[v] /= 2;
  }
}

}  // namespace yunet
