// YuNet's net, channels last. Each file that compiles it for a kind of processor includes this
// (yunet_avx2.cc, yunet_avx512.cc, yunet_vnni.cc); it chooses the arithmetic.
//
// Feature maps are never stored as a whole. Each unit keeps a ring buffer of the last three rows of
// its pointwise convolution; when it has three, it computes an output row and passes it to the next
// unit. A row of the photo thus runs through the whole chain before the next one is read, and the
// working set, 0.8 MB for a photo of 512x512, stays in the core's second-level cache. With whole
// feature maps, each of the first tensors alone would take 2 to 4 MB.
//
// Only the feature maps that the top-down path needs (at strides 8 and 16) are stored as a whole.

#pragma once

#include <cstring>

#include "linear.h"
#include "yunet.h"

namespace yunet {
namespace {

// Allocates pieces of a block of memory; with a null block it only counts.
struct Bump {
  float* base;
  size_t used = 0;

  float* take(size_t count) {
    float* const piece = base == nullptr ? nullptr : base + used;
    used += (count + LANES - 1) / LANES * LANES;
    return piece;
  }
};

// The state of a unit for rows of one width.
struct Stage {
  const Unit* unit = nullptr;
  int width = 0;
  // Rows after the pointwise convolution, each with a pixel of zeros on either side.
  float* ring[3] = {};
  float* above = nullptr;  // pooling: the last even output row
  float* whole = nullptr;  // the whole output, if it is needed
  Stage* next = nullptr;
  int taken = 0, given = 0;

  int channels() const { return unit->point.columns; }
};

// All memory of a run.
struct Work {
  float* zeros = nullptr;    // a row of zeros, as wide as the widest row
  float* row = nullptr;      // the output row of the current stage
  float* pooled = nullptr;   // the same after pooling
  float* pixels[3][3] = {};  // the last three rows of each plane, as Stem::Pixel
  float* sum = nullptr;      // a row of the top-down path
  Room room = {};            // for a quantized row
  Stage chain[UNITS], back[LEVELS], shared[LEVELS], heads[LEVELS];
};

constexpr int MARGIN = LANES;  // padding before a row of pixels, for alignment

void place(Stage& stage, const Unit& unit, int width, Stage* next, Bump& memory) {
  stage.unit = &unit;
  stage.width = width;
  stage.next = next;
  const size_t row = size_t(width) * stage.channels();
  for (float*& kept : stage.ring) kept = memory.take(row + 2 * stage.channels());
  if (unit.pool) stage.above = memory.take(row);
}

void place(Work& work, const Net& net, int height, int width, Bump& memory) {
  // The widest rows: 16 channels of half the width, 64 of a quarter.
  const size_t widest = size_t(width) * STEM + 2 * WIDE;
  work.zeros = memory.take(widest);
  work.row = memory.take(widest);
  work.pooled = memory.take(widest);
  for (auto& plane : work.pixels) {
    for (float*& row : plane) row = memory.take(MARGIN + width + LANES);
  }
  work.room.integers = reinterpret_cast<int16_t*>(memory.take(widest / 2));
  work.room.scales = memory.take(width / 2);
  int across = width / 2;
  for (int i = 0; i < UNITS; ++i) {
    place(work.chain[i], net.chain[i], across, i + 1 < UNITS ? &work.chain[i + 1] : &work.back[2],
          memory);
    if (net.chain[i].pool) across /= 2;
  }
  for (int level = 0; level < LEVELS; ++level) {
    const int wide = width / STRIDES[level];
    Stage* const head = &work.heads[level];
    place(*head, net.heads[level], wide, nullptr, memory);
    if (net.has_shared) place(work.shared[level], net.shared[level], wide, head, memory);
    place(work.back[level], net.back[level], wide, net.has_shared ? &work.shared[level] : head,
          memory);
  }
  const auto picture = [&](int level) {
    return memory.take(size_t(height / STRIDES[level]) * (width / STRIDES[level]) * WIDE);
  };
  work.chain[6].whole = picture(0);
  work.chain[8].whole = picture(1);
  work.back[1].whole = picture(1);
  work.back[2].whole = picture(2);
  work.sum = memory.take(size_t(width) / STRIDES[0] * WIDE);
}

// Computes a row of the depthwise 3x3 convolution from the row above, the row itself and the row
// below, which begin with the pixel of zeros. For 16 channels at a time, the nine weights stay in
// registers; four adjacent pixels share their loads.
template <int CHANNELS, bool RELU>
void depthwise(const float* const rows[3], const Unit& unit, float* out, int width) {
  for (int c = 0; c < CHANNELS; c += LANES) {
    Vector weight[3][3];
    for (int t = 0; t < 9; ++t) weight[t / 3][t % 3] = load(unit.depthwise + t * CHANNELS + c);
    const Vector bias = load(unit.bias + c);
    const float *const top = rows[0] + c, *const middle = rows[1] + c, *const low = rows[2] + c;
    const auto finish = [&](int x, Vector sum) {
      if (RELU) sum = most(sum, zero());
      store(out + x * CHANNELS + c, sum);
    };
    int x = 0;
    for (; x + 4 <= width; x += 4) {
      Vector sum[4] = {bias, bias, bias, bias};
#pragma GCC unroll 6
      for (int column = 0; column < 6; ++column) {
        const ptrdiff_t at = ptrdiff_t(x + column) * CHANNELS;
        const Vector a = kept(load(top + at)), b = kept(load(middle + at)),
                     d = kept(load(low + at));
#pragma GCC unroll 3
        for (int t = 0; t < 3; ++t) {
          const int pixel = column - t;
          if (pixel < 0 || pixel > 3) continue;
          sum[pixel] = fma(a, weight[0][t], sum[pixel]);
          sum[pixel] = fma(b, weight[1][t], sum[pixel]);
          sum[pixel] = fma(d, weight[2][t], sum[pixel]);
        }
      }
#pragma GCC unroll 4
      for (int pixel = 0; pixel < 4; ++pixel) finish(x + pixel, sum[pixel]);
    }
    for (; x < width; ++x) {
      Vector sum = bias;
#pragma GCC unroll 3
      for (int t = 0; t < 3; ++t) {
        const ptrdiff_t at = ptrdiff_t(x + t) * CHANNELS;
        sum = fma(load(top + at), weight[0][t], sum);
        sum = fma(load(middle + at), weight[1][t], sum);
        sum = fma(load(low + at), weight[2][t], sum);
      }
      finish(x, sum);
    }
  }
}

void depthwise(const float* const rows[3], const Unit& unit, float* out, int width) {
  const int channels = unit.point.columns;
  if (!unit.relu) return depthwise<HEADS, false>(rows, unit, out, width);
  if (channels == 16) return depthwise<16, true>(rows, unit, out, width);
  if (channels == 32) return depthwise<32, true>(rows, unit, out, width);
  depthwise<WIDE, true>(rows, unit, out, width);
}

// 2x2 max pooling of two rows.
void pool(const float* above, const float* below, float* out, int width, int channels) {
  for (int x = 0; x < width; x += 2) {
    for (int c = 0; c < channels; c += LANES, out += LANES) {
      const ptrdiff_t left = ptrdiff_t(x) * channels + c, right = left + channels;
      const Vector upper = most(load(above + left), load(above + right));
      const Vector lower = most(load(below + left), load(below + right));
      store(out, most(upper, lower));
    }
  }
}

template <class Arithmetic>
void take(Work& work, Stage& stage, const float* row);

// Passes the next output row of a stage on.
template <class Arithmetic>
void give(Work& work, Stage& stage, const float* top, const float* middle, const float* low) {
  const int channels = stage.channels(), y = stage.given++;
  const ptrdiff_t row = ptrdiff_t(stage.width) * channels;
  const bool pools = stage.unit->pool, even = y % 2 == 0;
  float* out = pools && even ? stage.above : work.row;
  if (stage.whole != nullptr) out = stage.whole + y * row;
  const float* const rows[3] = {top, middle, low};
  depthwise(rows, *stage.unit, out, stage.width);
  if (stage.next == nullptr || (pools && even)) return;
  if (!pools) return take<Arithmetic>(work, *stage.next, out);
  pool(stage.whole != nullptr ? out - row : stage.above, out, work.pooled, stage.width, channels);
  take<Arithmetic>(work, *stage.next, work.pooled);
}

// Takes the next input row of a stage. `row` is read before anything else is computed, so all
// stages can share the rows of `work`.
template <class Arithmetic>
void take(Work& work, Stage& stage, const float* row) {
  float* const slot = stage.ring[stage.taken % 3] + stage.channels();
  const Linear& point = stage.unit->point;
  Arithmetic::template multiply<Then::nothing>(point, {row, point.depth, slot, point.columns},
                                               stage.width, work.room, stage.width);
  const int newest = stage.taken++;
  if (newest == 0) return;
  give<Arithmetic>(work, stage, newest == 1 ? work.zeros : stage.ring[(newest - 2) % 3],
                   stage.ring[(newest - 1) % 3], stage.ring[newest % 3]);
}

void begin(Stage& stage) {
  const int channels = stage.channels();
  for (float* row : stage.ring) {
    std::memset(row, 0, channels * sizeof(float));
    std::memset(row + ptrdiff_t(stage.width + 1) * channels, 0, channels * sizeof(float));
  }
}

// Computes the last row of a stage and of all later stages, with zeros below it.
template <class Arithmetic>
void end(Work& work, Stage& stage) {
  const int newest = stage.taken - 1;
  give<Arithmetic>(work, stage, newest == 0 ? work.zeros : stage.ring[(newest - 1) % 3],
                   stage.ring[newest % 3], work.zeros);
  if (stage.next != nullptr) end<Arithmetic>(work, *stage.next);
}

// How the stem is computed, in floats.
struct FloatStem {
  using Pixel = float;
  static constexpr int PIXELS = REGISTERS / 2;

  static void convert(__m128i bytes, Pixel* to) { store(to, from_bytes(bytes)); }

  // Computes PIXELS adjacent pixels, from nine rows which begin one pixel before the first of them.
  static void convolve(const Pixel* const rows[9], const Linear& stem, float* out) {
    Vector sum[PIXELS];
    for (Vector& one : sum) one = load(stem.bias);
#pragma GCC unroll 1
    for (int i = 0; i < 9; ++i) {
#pragma GCC unroll 3
      for (int column = 0; column < 3; ++column) {
        const Vector w = load(stem.floats + (i * padded(3) + column) * STEM);
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; ++p) sum[p] = fma(all(rows[i][2 * p + column]), w, sum[p]);
      }
    }
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; ++p) store(out + p * STEM, most(sum[p], zero()));
  }
};

// Loads row y of the photo after the two previous rows; zeros beyond the photo.
template <class Stem>
void read(Work& work, const uint8_t* planes, int y, int height, int width) {
  using Pixel = typename Stem::Pixel;
  for (int plane = 0; plane < 3; ++plane) {
    Pixel* const to = reinterpret_cast<Pixel*>(work.pixels[plane][(y + 3) % 3]) + MARGIN;
    to[-1] = 0;
    if (y < 0) {
      std::memset(to, 0, width * sizeof(Pixel));
      continue;
    }
    const uint8_t* const from = planes + (ptrdiff_t(plane) * height + y) * width;
    for (int x = 0; x < width; x += LANES) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + x));
      Stem::convert(bytes, to + x);
    }
  }
}

// Computes row y of the stem: a 3x3 convolution of the three planes with stride 2, and ReLU. The
// channels are the lanes. The sums of several pixels stay in registers while a loop runs over the
// weights.
template <class Stem>
void stem(Work& work, const Net& net, int y, int width) {
  using Pixel = typename Stem::Pixel;
  const Pixel* rows[9];
  for (int i = 0; i < 9; ++i) {
    const float* const row = work.pixels[i / 3][(2 * y + i % 3 + 2) % 3];
    rows[i] = reinterpret_cast<const Pixel*>(row) + MARGIN - 1;
  }
  for (int x = 0; x < width / 2; x += Stem::PIXELS) {
    Stem::convolve(rows, net.stem, work.row + x * STEM);
    for (const Pixel*& row : rows) row += 2 * Stem::PIXELS;
  }
}

// Top-down path: adds the coarser feature map, upsampled 2x2, to a level's feature map.
template <class Arithmetic>
void back(Work& work, int level, const float* fine, const float* coarse, int height, int width) {
  Stage& stage = work.back[level];
  for (int y = 0; y < height; ++y) {
    const float* const from = fine + ptrdiff_t(y) * width * WIDE;
    const float* const more = coarse + ptrdiff_t(y / 2) * (width / 2) * WIDE;
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < WIDE; c += LANES) {
        store(work.sum + x * WIDE + c, load(from + x * WIDE + c) + load(more + x / 2 * WIDE + c));
      }
    }
    take<Arithmetic>(work, stage, work.sum);
  }
  end<Arithmetic>(work, stage);
}

// 1 / (1 + e^-x). Clamped as in onnxruntime, which matters if both scores are nearly 0.
Vector sigmoid(Vector x) {
  return quotient(all(1.0f), all(1.0f) + exp(zero() - clamp(x, -18.0f, 18.0f)));
}

// Scores: the square root of the class probability times the object probability, 16 cells at a
// time.
void score(const float* logits, float* scores, int count) {
  for (int first = 0; first < count; first += LANES) {
    alignas(64) float sure[LANES] = {}, thing[LANES] = {};
    for (int i = 0; i < LANES && first + i < count; ++i, logits += HEADS) {
      sure[i] = logits[0];
      thing[i] = logits[1];
    }
    const Vector both = sigmoid(load(sure)) * sigmoid(load(thing));
    store(scores + first, root(both), first_lanes(count - first));
  }
}

size_t count_floats(const Net& net, int height, int width) {
  Work work;
  Bump counting{nullptr};
  place(work, net, height, width, counting);
  return counting.used + 2 * LANES;
}

template <class Arithmetic, class Stem>
void detect_one(const Net& net, const uint8_t* planes, int height, int width, float* scratch,
                float* logits, float* scores) {
  Work work;
  Bump memory{scratch};
  place(work, net, height, width, memory);
  std::memset(work.zeros, 0, (size_t(width) * STEM + 2 * WIDE) * sizeof(float));
  for (Stage& stage : work.chain) begin(stage);
  ptrdiff_t before = 0;
  for (int level = 0; level < LEVELS; ++level) {
    begin(work.back[level]);
    begin(work.heads[level]);
    if (net.has_shared) begin(work.shared[level]);
    work.heads[level].whole = logits + before * HEADS;
    before += ptrdiff_t(height / STRIDES[level]) * (width / STRIDES[level]);
  }
  read<Stem>(work, planes, -1, height, width);
  for (int y = 0; y < height / 2; ++y) {
    read<Stem>(work, planes, 2 * y, height, width);
    read<Stem>(work, planes, 2 * y + 1, height, width);
    stem<Stem>(work, net, y, width);
    take<Arithmetic>(work, work.chain[0], work.row);
  }
  end<Arithmetic>(work, work.chain[0]);
  back<Arithmetic>(work, 1, work.chain[8].whole, work.back[2].whole, height / 16, width / 16);
  back<Arithmetic>(work, 0, work.chain[6].whole, work.back[1].whole, height / 8, width / 8);
  score(logits, scores, static_cast<int>(before));
}

}  // namespace
}  // namespace yunet
