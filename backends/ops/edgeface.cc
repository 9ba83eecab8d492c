#include "edgeface.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace edgeface {

namespace {

// Reads a net's parts in the order in which the graph stores them.
class Parts {
 public:
  Parts(Reader& weights, bool whole) : weights_(weights), whole_(whole) {}

  Norm norm(int channels) {
    Norm made;
    made.scale = weights_.row(channels);
    made.shift = weights_.row(channels);
    return made;
  }

  Mlp mlp(int channels) {
    Mlp made;
    made.norm = norm(channels);
    made.spread = linear(channels, 4 * channels);
    made.gather = linear(4 * channels, channels);
    return made;
  }

  Block block(int channels, int kernel) {
    Block made;
    made.depthwise = weights_.table(kernel * kernel, channels);
    made.bias = weights_.row(channels);
    made.mlp = mlp(channels);
    return made;
  }

  Attention attention(int stage, int channels) {
    Attention made;
    made.parts = stage;
    made.width = (channels + stage) / (stage + 1);
    for (int part = 0; part < made.parts; ++part) {
      made.convolution[part] = weights_.table(9, made.width);
      made.bias[part] = weights_.row(made.width);
    }
    if (stage == 1) made.positions = weights_.table(SIDES[1] * SIDES[1], channels);
    made.norm = norm(channels);
    made.question_key_value = weights_.linear(channels, channels, 1, 3);
    made.project = weights_.linear(channels, channels);
    made.temperature = weights_.row(HEADS);
    made.mlp = mlp(channels);
    return made;
  }

 private:
  Linear linear(int rows, int columns) {
    return whole_ ? weights_.whole_linear(rows, columns) : weights_.linear(rows, columns);
  }

  Reader& weights_;
  bool whole_;
};

void check(const Options& options) {
  if (options.channels.size() != STAGES || options.blocks.size() != STAGES) {
    throw Misfit("an EdgeFace has four stages");
  }
  for (int i = 0; i < STAGES; ++i) {
    const int64_t channels = options.channels[i], blocks = options.blocks[i];
    const int64_t before = i == 0 ? channels : options.channels[i - 1];
    if (channels < 16 || channels > MOST_CHANNELS || channels % HEADS != 0 || channels < before ||
        channels > 3 * before) {
      throw Misfit("no EdgeFace has " + std::to_string(channels) + " channels");
    }
    if (blocks < 0 || blocks > MOST_BLOCKS) {
      throw Misfit("no stage of EdgeFace has " + std::to_string(blocks) + " blocks");
    }
  }
}

}  // namespace

Embedder::Embedder(const Options& options, const float* floats, size_t float_count,
                   const int8_t* whole, size_t whole_count)
    : compiled_(compiled_for_cpu(AVX2, AVX512, AVX512_VNNI)) {
  check_cpu();
  check(options);
  Reader reader(arena_, floats, float_count, whole, whole_count);
  Parts parts(reader, whole_count > 0);
  int before = 0;
  for (int i = 0; i < STAGES; ++i) {
    Stage& stage = net_.stage[i];
    stage.channels = static_cast<int>(options.channels[i]);
    stage.blocks = static_cast<int>(options.blocks[i]);
    stage.side = SIDES[i];
    stage.kernel = KERNELS[i];
    if (i == 0) {
      net_.stem = reader.linear(PATCH * PATCH * 3, stage.channels);
      net_.stem_norm = parts.norm(stage.channels);
    } else {
      stage.down_norm = parts.norm(before);
      stage.down = reader.linear(before, stage.channels, 4);
    }
    for (int n = 0; n < stage.blocks; ++n) {
      stage.block[n] = parts.block(stage.channels, stage.kernel);
    }
    if (i > 0) stage.attention = parts.attention(i, stage.channels);
    before = stage.channels;
  }
  net_.head_norm = parts.norm(before);
  net_.head = reader.linear(before, DIMENSIONS);
  reader.end();
}

void Embedder::run(const uint8_t* crops, int64_t count, float* embeddings, float* lengths) {
  const int together = static_cast<int>(std::min<int64_t>(count, MOST_FACES));
  const Scratch::Loan loan(scratch_, compiled_.scratch_floats(net_, together) * sizeof(float));
  for (int64_t done = 0; done < count; done += together) {
    const int part = static_cast<int>(std::min<int64_t>(count - done, together));
    compiled_.embed(net_, crops + done * SIDE * SIDE * 3, part,
                    reinterpret_cast<float*>(loan.data()), embeddings + done * DIMENSIONS);
  }
  for (int64_t face = 0; face < count; ++face, embeddings += DIMENSIONS) {
    float squares = 0;
    for (int i = 0; i < DIMENSIONS; ++i) squares += embeddings[i] * embeddings[i];
    lengths[face] = std::sqrt(squares);
    const float bounded = std::max(lengths[face], 1e-12f);
    for (int i = 0; i < DIMENSIONS; ++i) embeddings[i] /= bounded;
  }
}

}  // namespace edgeface
