// EdgeFace, an embedder: from aligned crops to embeddings.
//
// The net is a stem, which makes 28x28 tokens of patches of 4x4 pixels, and four stages, each but
// the first of which halves the picture. A stage is a few blocks: a depthwise convolution of the
// tokens, and an MLP of each token for itself, added to what went in. The last block of all but the
// first stage has, instead of the convolution, several small ones of a part of the channels each,
// and attention between the channels.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu.h"
#include "weights.h"

namespace edgeface {

constexpr int STAGES = 4, HEADS = 4, SIDE = 112, PATCH = 4, DIMENSIONS = 512;
constexpr int MOST_CHANNELS = 192, MOST_BLOCKS = 16, MOST_PARTS = 3;
constexpr int SIDES[STAGES] = {28, 14, 7, 3};  // of each stage's picture
constexpr int KERNELS[STAGES] = {3, 5, 7, 9};  // of its depthwise convolutions
// Faces that are worked on together where the weights are large and the pictures are small.
constexpr int MOST_FACES = 8;

struct Norm {
  const float* scale = nullptr;
  const float* shift = nullptr;
};

// Each token: normalized, spread to four times the channels, GELU, and back; in floats or in whole
// weights, as this processor can.
struct Mlp {
  Norm norm;
  Linear spread, gather;
  WholeLinear whole_spread, whole_gather;
};

struct Block {
  const float* depthwise = nullptr;  // [kernel][kernel][channels]
  const float* bias = nullptr;
  Mlp mlp;
};

struct Attention {
  int parts = 0, width = 0;  // small convolutions, and the channels of each
  const float* convolution[MOST_PARTS] = {};
  const float* bias[MOST_PARTS] = {};
  const float* positions = nullptr;  // added to the tokens; in the second stage alone
  Norm norm;
  Linear question_key_value, project;
  const float* temperature = nullptr;  // of each head
  Mlp mlp;
};

struct Stage {
  int channels = 0, side = 0, kernel = 0, blocks = 0;
  Norm down_norm;
  Linear down;  // of 2x2 tokens
  Block block[MOST_BLOCKS];
  Attention attention;

  int tokens() const { return side * side; }
  int width() const { return padded(channels); }
};

struct Net {
  Linear stem;
  Norm stem_norm;
  Stage stage[STAGES];
  Norm head_norm;
  Linear head;
};

// What is compiled for each kind of processor (edgeface_net.h).
struct Compiled {
  // Floats of scratch memory that a run of this many faces wants.
  size_t (*scratch_floats)(const Net& net, int faces);
  // Embeddings [count][512], not yet normalized, of crops uint8 [count][112][112][3], RGB; `count`
  // is at most MOST_FACES.
  void (*embed)(const Net& net, const uint8_t* crops, int count, float* scratch, float* to);
};
extern const Compiled AVX2, AVX512, AVX512_VNNI;

struct Options {
  std::vector<int64_t> channels;  // of each stage
  std::vector<int64_t> blocks;    // and its blocks, without the last one of those with attention
};

class Embedder {
 public:
  // Weights in the order of aurum/models/kernels/edgeface.py; those of the MLPs are among the
  // floats where there are no whole ones. Raises Misfit.
  Embedder(const Options& options, const float* floats, size_t float_count, const int8_t* whole,
           size_t whole_count);

  // uint8 [count][112][112][3] -> embeddings [count][512] of length 1, and the lengths that they
  // had. May be called by several threads at once.
  void run(const uint8_t* crops, int64_t count, float* embeddings, float* lengths);

 private:
  Arena arena_;
  Net net_;
  const Compiled* compiled_ = &AVX512;
  Scratch scratch_;
};

}  // namespace edgeface
