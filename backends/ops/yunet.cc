#include "yunet.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>

namespace yunet {

namespace {

Unit unit(Reader& weights, int in, int out, bool pool = false, bool relu = true) {
  Unit made;
  made.point = weights.linear(in, out);
  made.depthwise = weights.table(9, out);
  made.bias = weights.row(out);
  made.pool = pool;
  made.relu = relu;
  return made;
}

// A sort key for a candidate: its score, then the lower cell index. Scores are not negative, so
// their bits have the same order as their values.
uint64_t rank(float score, int cell) {
  uint32_t bits = 0;
  std::memcpy(&bits, &score, sizeof bits);
  return uint64_t{bits} << 32 | static_cast<uint32_t>(~cell);
}

int cell_of(uint64_t rank) { return ~static_cast<uint32_t>(rank); }

}  // namespace

int cells(int height, int width) {
  int count = 0;
  for (const int stride : STRIDES) count += (height / stride) * (width / stride);
  return count;
}

Detector::Detector(const Options& options, const float* weights, size_t count)
    : options_(options), compiled_(compiled_for_cpu(AVX2, AVX512, AVX512_VNNI)) {
  check_cpu();
  if (options.middle != 32 && options.middle != WIDE) {
    throw Misfit("no YuNet has " + std::to_string(options.middle) + " channels in the middle");
  }
  Reader reader(arena_, weights, count, nullptr, 0);
  net_.stem = reader.linear(3, STEM, 9);
  int channels = STEM;
  for (int i = 0; i < UNITS; ++i) {
    const int out = i < 2 ? STEM : i < 4 ? options.middle : WIDE;
    net_.chain[i] = unit(reader, channels, out, i == 0 || i == 4 || i == 6 || i == 8);
    channels = out;
  }
  for (int level = LEVELS - 1; level >= 0; --level) net_.back[level] = unit(reader, WIDE, WIDE);
  net_.has_shared = options.shared;
  for (int level = 0; level < LEVELS; ++level) {
    if (options.shared) net_.shared[level] = unit(reader, WIDE, WIDE);
    net_.heads[level] = unit(reader, WIDE, HEADS, false, false);
  }
  reader.end();
}

void Detector::check(int64_t height, int64_t width) const {
  for (const int64_t side : {height, width}) {
    if (side <= 0 || side > options_.longest_side || side % STRIDES[LEVELS - 1] != 0) {
      // The same message as in the plain graph (aurum/models/families/candidates.py).
      throw Misfit("height_and_width_must_be_multiples_of_32_up_to_" +
                   std::to_string(options_.longest_side));
    }
  }
}

size_t Detector::scratch_size(int64_t batch, int height, int width) const {
  const size_t answers = size_t(batch) * cells(height, width) * (HEADS + 1);
  return (answers + SLACK + compiled_.scratch_floats(net_, height, width)) * sizeof(float);
}

// The number of candidates to list: that of the photo with the most; see candidates.py.
int Detector::detect(const uint8_t* photos, int64_t batch, int height, int width, float* logits,
                     float* scores) const {
  const int count = cells(height, width);
  const size_t answers = size_t(batch) * count * (HEADS + 1);
  float* const scratch =
      logits + (answers + COLUMNS_PER_VECTOR - 1) / COLUMNS_PER_VECTOR * COLUMNS_PER_VECTOR;
  int most_sure = 0;
  for (int64_t photo = 0; photo < batch; ++photo) {
    float* const own = scores + photo * count;
    compiled_.detect(net_, photos + photo * 3 * height * width, height, width, scratch,
                     logits + photo * count * HEADS, own);
    const int sure = static_cast<int>(
        std::count_if(own, own + count, [&](float score) { return score >= options_.sure; }));
    most_sure = std::max(most_sure, sure);
  }
  const int wanted = std::max(most_sure + 1, options_.least);
  const int allowed = std::max(count / 2, options_.least);
  return std::min({wanted, allowed, count});
}

// Decodes the k best candidates of each photo.
void Detector::list(const float* logits, const float* scores, int64_t batch, int height, int width,
                    int k, Candidates to) const {
  const int count = cells(height, width);
  std::vector<uint64_t> ranks(count);
  for (int64_t photo = 0; photo < batch; ++photo, logits += count * HEADS, scores += count) {
    for (int cell = 0; cell < count; ++cell) ranks[cell] = rank(scores[cell], cell);
    const auto end = ranks.begin() + k;
    if (k < count) std::nth_element(ranks.begin(), end, ranks.end(), std::greater<>());
    std::sort(ranks.begin(), end, std::greater<>());
    for (auto at = ranks.begin(); at != end; ++at) {
      int cell = cell_of(*at), level = 0;
      *to.scores++ = scores[cell];
      const float* const values = logits + cell * HEADS;
      for (; level < LEVELS - 1; ++level) {
        const int here = (height / STRIDES[level]) * (width / STRIDES[level]);
        if (cell < here) break;
        cell -= here;
      }
      const int stride = STRIDES[level], across = width / stride;
      const float x = cell % across * stride, y = cell / across * stride;
      const float wide = std::exp(values[4]) * stride, high = std::exp(values[5]) * stride;
      *to.boxes++ = values[2] * stride + x - wide / 2;
      *to.boxes++ = values[3] * stride + y - high / 2;
      *to.boxes++ = wide;
      *to.boxes++ = high;
      for (int point = 6; point < HEADS; point += 2) {
        *to.landmarks++ = values[point] * stride + x;
        *to.landmarks++ = values[point + 1] * stride + y;
      }
    }
  }
}

}  // namespace yunet
