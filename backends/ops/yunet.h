// YuNet, a face detector: from the planes of a photo to its best candidates.
//
// The net is a stem, a chain of eleven units, three units on the top-down path from coarse to fine,
// and heads for the strides 8, 16 and 32. A unit is a 1x1 (pointwise) convolution, a depthwise 3x3
// convolution, and, except in the heads, ReLU; some are followed by 2x2 max pooling.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu.h"
#include "weights.h"

namespace yunet {

constexpr int STEM = 16, WIDE = 64;  // channels after the stem, and of all but the first units
constexpr int HEADS = 16;  // logits of a cell: class, object, 4 for the box, 10 for the landmarks
constexpr int LEVELS = 3, UNITS = 11;
constexpr int STRIDES[LEVELS] = {8, 16, 32};

struct Unit {
  Linear point;
  const float* depthwise = nullptr;  // [3][3][channels]
  const float* bias = nullptr;
  bool relu = true, pool = false;
};

struct Net {
  Linear stem;  // of [plane][row], padded to 16 columns
  Unit chain[UNITS];
  Unit back[LEVELS];
  Unit shared[LEVELS];  // before the heads, in YuNet-n only
  Unit heads[LEVELS];
  bool has_shared = false;
};

// Number of cells of all levels.
int cells(int height, int width);

// The functions that are compiled for each kind of processor (yunet_net.h).
struct Compiled {
  // Scratch memory, in floats, that a photo of this size needs.
  size_t (*scratch_floats)(const Net& net, int height, int width);
  // The logits [cells][16] and the scores [cells] of one photo, uint8 [3][height][width].
  void (*detect)(const Net& net, const uint8_t* planes, int height, int width, float* scratch,
                 float* logits, float* scores);
};
extern const Compiled AVX2, AVX512, AVX512_VNNI;

// Attributes of the operator in the graph.
struct Options {
  int middle = 0;       // channels of the third and the fourth unit
  bool shared = false;  // YuNet-n
  int least = 0;        // minimum number of listed candidates
  float sure = 0;       // all candidates with at least this score are listed
  int64_t longest_side = 0;
};

// Output buffers for a batch, once their size is known.
struct Candidates {
  float *boxes, *landmarks, *scores;
};

class Detector {
 public:
  // Throws Misfit.
  Detector(const Options& options, const float* weights, size_t count);

  // uint8 [batch][3][height][width]. `make(k)` returns buffers for k candidates of each photo.
  // Thread-safe. Throws Misfit for unsupported sizes.
  template <class Make>
  void run(const uint8_t* photos, int64_t batch, int64_t height, int64_t width, Make make) {
    check(height, width);
    const int count = cells(height, width);
    const Scratch::Loan loan(scratch_, scratch_size(batch, height, width));
    float* const logits = reinterpret_cast<float*>(loan.data());
    float* const scores = logits + batch * count * HEADS;
    const int listed = detect(photos, batch, height, width, logits, scores);
    list(logits, scores, batch, height, width, listed, make(listed));
  }

 private:
  void check(int64_t height, int64_t width) const;
  size_t scratch_size(int64_t batch, int height, int width) const;
  int detect(const uint8_t* photos, int64_t batch, int height, int width, float* logits,
             float* scores) const;
  void list(const float* logits, const float* scores, int64_t batch, int height, int width, int k,
            Candidates to) const;

  Options options_;
  const Compiled& compiled_;
  Arena arena_;
  Net net_;
  Scratch scratch_;
};

}  // namespace yunet
