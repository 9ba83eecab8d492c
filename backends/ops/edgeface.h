// EdgeFace, an embedder: from aligned crops to embeddings.
//
// The net is a stem, which turns patches of 4x4 pixels into 28x28 tokens, and four stages, all but
// the first of which halve the sides of the feature map. A stage consists of residual blocks: a
// depthwise convolution of the tokens, and an MLP of each token. In all stages but the first, the
// last block has several small convolutions, each of a part of the channels, and attention between
// the channels instead of the depthwise convolution.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu.h"
#include "weights.h"

namespace edgeface {

constexpr int STAGES = 4, HEADS = 4, SIDE = 112, PATCH = 4, DIMENSIONS = 512;
constexpr int MOST_CHANNELS = 192, MOST_BLOCKS = 16, MOST_PARTS = 3;
constexpr int SIDES[STAGES] = {28, 14, 7, 3};  // of each stage's feature map
constexpr int KERNELS[STAGES] = {3, 5, 7, 9};  // sizes of its depthwise convolutions
// Faces that are computed together in the stages with large weights and small feature maps.
constexpr int MOST_FACES = 8;

struct Norm {
  const float* scale = nullptr;
  const float* shift = nullptr;
};

// For each token: normalization, expansion to four times the channels, GELU, and projection back.
struct Mlp {
  Norm norm;
  Linear spread, gather;
};

struct Block {
  const float* depthwise = nullptr;  // [kernel][kernel][channels]
  const float* bias = nullptr;
  Mlp mlp;
};

struct Attention {
  int parts = 0, width = 0;  // number of small convolutions, and the channels of each
  const float* convolution[MOST_PARTS] = {};
  const float* bias[MOST_PARTS] = {};
  const float* positions = nullptr;  // added to the tokens; in the second stage only
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

// The functions that are compiled for each kind of processor (edgeface_net.h).
struct Compiled {
  // Scratch memory, in floats, that a run of this many faces needs.
  size_t (*scratch_floats)(const Net& net, int faces);
  // Embeddings [count][512], not yet normalized, of crops uint8 [count][112][112][3], RGB; `count`
  // is at most MOST_FACES.
  void (*embed)(const Net& net, const uint8_t* crops, int count, float* scratch, float* to);
};
extern const Compiled AVX2, AVX512, AVX512_VNNI;

struct Options {
  std::vector<int64_t> channels;  // of each stage
  std::vector<int64_t> blocks;    // of each stage, without the block with attention
};

class Embedder {
 public:
  // Takes weights in the order of aurum/models/kernels/edgeface.py; if there are no integer
  // weights, those of the MLPs are among the floats. Throws Misfit.
  Embedder(const Options& options, const float* floats, size_t float_count, const int8_t* whole,
           size_t whole_count);

  // uint8 [count][112][112][3] -> embeddings [count][512] of length 1, and their lengths before
  // normalization. Thread-safe.
  void run(const uint8_t* crops, int64_t count, float* embeddings, float* lengths);

 private:
  Arena arena_;
  Net net_;
  const Compiled& compiled_;
  Scratch scratch_;
};

}  // namespace edgeface
