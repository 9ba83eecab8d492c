// The second look at a face: its landmarks, from a crop in which it is expected in the middle.
#pragma once

#include "yunet.h"

namespace yunet {

constexpr int POINTS = 5;

// Which candidates belong to the face in the middle, and how much each counts.
struct Middle {
  float expected[POINTS][2];  // its landmarks, in pixels of the crop
  float near = 0;             // those of its candidates differ by less
  float power = 0;            // the weight of a candidate is its score to this power
};

// Computes the same as the plain graph (aurum/models/families/detector.py): the weighted mean of
// the candidates in the crop and in its mirror image.
class SecondLook {
 public:
  // Candidates with at least the score `options.sure` count. Throws Misfit.
  SecondLook(const Options& options, const Middle& middle, const float* weights, size_t count);

  // uint8 [count][side][side][3] -> landmarks [count][5][2] and scores [count]; all 0 where neither
  // image shows a face in the middle. Thread-safe. Throws Misfit for unsupported sizes.
  void run(const uint8_t* crops, int64_t count, int64_t side, float* landmarks, float* scores);

 private:
  Middle middle_;
  float sure_;
  Detector detector_;
};

}  // namespace yunet
