// EdgeFace's net, channels last. Each file that compiles it for a kind of processor includes this
// (edgeface_avx2.cc, edgeface_avx512.cc, edgeface_vnni.cc); it chooses the arithmetic.
//
// The working set stays in the core's second-level cache: the first two stages, with large feature
// maps and small weights, are computed face by face. The other two are computed for all faces of a
// run together, so that their weights are read once. An MLP expands only a tile of tokens at a
// time.
#pragma once

#include <cmath>
#include <cstring>

#include "edgeface.h"
#include "linear.h"

namespace edgeface {
namespace {

constexpr int TILE = 48;  // tokens; expanded, at most 48 x 768 floats

// All memory of a run. `tokens` is the net's state; the rest holds intermediate results.
struct Work {
  float *tokens, *mixed;  // of all faces
  float *a, *b;           // of one face
  float* bordered;        // one face's tokens with zeros around them
  float* spread;          // an expanded tile, or one face's queries, keys and values
  Room room;              // for quantized tokens
};

// Normalizes each token to mean 0 and variance 1, and applies the learned scale and shift, which
// reset the padding to 0.
void normalize(const float* in, float* out, int tokens, int channels, const Norm& norm) {
  const int width = padded(channels);
  const float one = 1.0f / channels;
  for (; tokens > 0; --tokens, in += width, out += width) {
    Vector sum = zero(), squares = zero();
    for (int c = 0; c < width; c += LANES) sum += load(in + c);
    const float mean = sum_of(sum) * one;
    for (int c = 0; c < width; c += LANES) {
      const Vector off = load(in + c) - all(mean);
      squares = fma(off, off, squares);
    }
    // The padding is 0, so each of its lanes differs from the mean by `mean`.
    const float all_squares = sum_of(squares) - (width - channels) * mean * mean;
    const Vector inverse = all(1.0f / std::sqrt(all_squares * one + 1e-6f));
    for (int c = 0; c < width; c += LANES) {
      const Vector even = (load(in + c) - all(mean)) * inverse;
      store(out + c, fma(even, load(norm.scale + c), load(norm.shift + c)));
    }
  }
}

// Computes PIXELS adjacent outputs of a depthwise convolution, 16 channels of each. The sums stay
// in registers while the loop runs over the kernel's weights.
template <int PIXELS>
AURUM_INLINE void depthwise(const float* in, ptrdiff_t in_row, float* out, int width,
                            const float* weight, Vector bias, int kernel) {
  Vector sum[PIXELS];
  for (Vector& one : sum) one = bias;
  for (int y = 0; y < kernel; ++y) {
    for (int x = 0; x < kernel; ++x, weight += width) {
      const Vector w = load(weight);
      const float* const from = in + y * in_row + x * width;
#pragma GCC unroll 16
      for (int p = 0; p < PIXELS; ++p) sum[p] = fma(w, load(from + p * width), sum[p]);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < PIXELS; ++p) store(out + p * width, sum[p]);
}

// A depthwise convolution of one face's tokens, `width` channels of each.
void convolve(const float* in, float* out, int side, int width, int kernel, const float* weights,
              const float* bias, float* bordered) {
  const int border = kernel / 2, across = side + 2 * border;
  const ptrdiff_t row = ptrdiff_t(across) * width;
  std::memset(bordered, 0, across * row * sizeof(float));
  for (int y = 0; y < side; ++y) {
    std::memcpy(bordered + (y + border) * row + border * width, in + ptrdiff_t(y) * side * width,
                size_t(side) * width * sizeof(float));
  }
  for (int c = 0; c < width; c += LANES) {
    const Vector b = load(bias + c);
    for (int y = 0; y < side; ++y) {
      const float* const from = bordered + y * row + c;
      float* const to = out + ptrdiff_t(y) * side * width + c;
      for (int x = 0; x < side;) {
        const int left = side - x;
        const float* const at = from + x * width;
        if (REGISTERS > 14 && left >= 14) {
          depthwise<14>(at, row, to + x * width, width, weights + c, b, kernel), x += 14;
        } else if (left >= 7) {
          depthwise<7>(at, row, to + x * width, width, weights + c, b, kernel), x += 7;
        } else {
          depthwise<3>(at, row, to + x * width, width, weights + c, b, kernel), x += 3;
        }
      }
    }
  }
}

// The first part of a block with attention: consecutive small convolutions, each of a part of the
// channels plus the previous one's output. The last part of the channels is not changed.
void convolve_parts(const Attention& attention, const float* in, float* out, int side, int width,
                    Work& work) {
  const int tokens = side * side, part = attention.width, whole = padded(part);
  std::memcpy(out, in, size_t(tokens) * width * sizeof(float));
  for (int i = 0; i < attention.parts; ++i) {
    for (int t = 0; t < tokens; ++t) {
      float* const to = work.a + ptrdiff_t(t) * whole;
      const float* const from = in + ptrdiff_t(t) * width + i * part;
      const float* const before = out + ptrdiff_t(t) * width + (i - 1) * part;
      for (int c = 0; c < part; ++c) to[c] = i == 0 ? from[c] : from[c] + before[c];
      for (int c = part; c < whole; ++c) to[c] = 0;
    }
    convolve(work.a, work.b, side, whole, 3, attention.convolution[i], attention.bias[i],
             work.bordered);
    for (int t = 0; t < tokens; ++t) {
      std::memcpy(out + ptrdiff_t(t) * width + i * part, work.b + ptrdiff_t(t) * whole,
                  part * sizeof(float));
    }
  }
}

// One head of the attention between channels: `size` channels that need not begin at a vector, so
// the last of their VECTORS is partial. A few channels or tokens are computed at a time.
template <int VECTORS>
void attend(const float* question, const float* key, const float* value, ptrdiff_t stride,
            const float* question_scale, const float* key_scale, int size, int tokens, float* out,
            ptrdiff_t out_stride) {
  constexpr int TOGETHER = REGISTERS / 4, ROOM = VECTORS * LANES;
  const auto lanes = [&](int v) { return first_lanes(size - v * LANES); };
  const auto part = [&](const float* from, int v) { return load(from + v * LANES, lanes(v)); };
  // The weight of each channel (row) in each output channel (column).
  alignas(64) float share[ROOM][ROOM] = {};
  for (int first = 0; first < size; first += TOGETHER) {
    Vector sum[TOGETHER][VECTORS] = {};
    for (int t = 0; t < tokens; ++t) {
      Vector k[VECTORS];
      for (int v = 0; v < VECTORS; ++v) k[v] = part(key + t * stride, v);
#pragma GCC unroll 8
      for (int i = 0; i < TOGETHER; ++i) {
        const Vector q = all(question[t * stride + first + i]);
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; ++v) sum[i][v] = fma(q, k[v], sum[i][v]);
      }
    }
    // Softmax. The product of two normalized channels is at most `question_scale`, 1 times the
    // temperature, so exp can't overflow; the largest value is subtracted anyway, as usual.
    for (int i = 0; i < TOGETHER && first + i < size; ++i) {
      constexpr float LEAST = -3e38f;
      Vector sizes = all(LEAST), total = zero();
      for (int v = 0; v < VECTORS; ++v) {
        sum[i][v] = sum[i][v] * all(question_scale[first + i]) * part(key_scale, v);
        sizes = most(sizes, or_else(sum[i][v], LEAST, lanes(v)));
      }
      const Vector largest = all(most_of(sizes));
      for (int v = 0; v < VECTORS; ++v) {
        sum[i][v] = or_else(exp(sum[i][v] - largest), 0.0f, lanes(v));
        total += sum[i][v];
      }
      const Vector inverse = all(1.0f / sum_of(total));
      alignas(64) float row[ROOM];
      for (int v = 0; v < VECTORS; ++v) store(row + v * LANES, sum[i][v] * inverse);
      for (int c = 0; c < size; ++c) share[c][first + i] = row[c];
    }
  }
  for (int first = 0; first < tokens; first += TOGETHER) {
    const float* from[TOGETHER];
    for (int i = 0; i < TOGETHER; ++i) {
      from[i] = value + (first + i < tokens ? first + i : tokens - 1) * stride;
    }
    Vector sum[TOGETHER][VECTORS] = {};
    for (int c = 0; c < size; ++c) {
      Vector w[VECTORS];
      for (int v = 0; v < VECTORS; ++v) w[v] = load(share[c] + v * LANES);
#pragma GCC unroll 8
      for (int i = 0; i < TOGETHER; ++i) {
        const Vector x = all(from[i][c]);
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; ++v) sum[i][v] = fma(x, w[v], sum[i][v]);
      }
    }
    for (int i = 0; i < TOGETHER && first + i < tokens; ++i) {
      for (int v = 0; v < VECTORS; ++v) {
        store(out + (first + i) * out_stride + v * LANES, sum[i][v], lanes(v));
      }
    }
  }
}

// Attention between the channels of one face's tokens, added to them.
template <class Arithmetic>
void attend(const Attention& attention, float* tokens, int count, int channels, Work& work) {
  const int width = padded(channels), size = channels / HEADS;
  const ptrdiff_t stride = 3 * ptrdiff_t(width);
  normalize(tokens, work.a, count, channels, attention.norm);
  float* const all_three = work.spread;
  Arithmetic::template multiply<Then::nothing>(
      attention.question_key_value, {work.a, width, all_three, stride}, count, work.room);
  // Queries and keys are normalized to length 1 over the tokens, here with a scale for each
  // channel.
  alignas(64) float scale[2 * MOST_CHANNELS + 2 * LANES];
  for (int c = 0; c < 2 * width; c += LANES) {
    Vector squares = zero();
    for (int t = 0; t < count; ++t) {
      const Vector x = load(all_three + t * stride + c);
      squares = fma(x, x, squares);
    }
    store(scale + c, quotient(all(1.0f), most(root(squares), all(1e-12f))));
  }
  std::memset(work.a, 0, size_t(count) * width * sizeof(float));
  for (int head = 0; head < HEADS; ++head) {
    const int first = head * size;
    for (int c = 0; c < size; ++c) scale[first + c] *= attention.temperature[head];
    const float* const from = all_three + first;
    const auto attended = size <= LANES ? attend<1> : size <= 2 * LANES ? attend<2> : attend<3>;
    attended(from, from + width, from + 2 * width, stride, scale + first, scale + width + first,
             size, count, work.a + first, width);
  }
  Arithmetic::template multiply<Then::add>(
      attention.project, {work.a, width, tokens, width, tokens}, count, work.room);
}

// Merges 2x2 tokens of one face into one; `out` may be equal to `in`.
template <class Arithmetic>
void halve(const Stage& stage, const float* in, float* out, int before, int channels, Work& work) {
  const int width = padded(channels);
  normalize(in, work.a, before * before, channels, stage.down_norm);
  for (int t = 0; t < stage.tokens(); ++t) {
    const int y = t / stage.side, x = t % stage.side;
    for (int row = 0; row < 2; ++row) {
      std::memcpy(work.b + (ptrdiff_t(t) * 4 + row * 2) * width,
                  work.a + (ptrdiff_t(2 * y + row) * before + 2 * x) * width,
                  size_t(2) * width * sizeof(float));
    }
  }
  Arithmetic::template multiply<Then::nothing>(stage.down, {work.b, 4 * width, out, stage.width()},
                                               stage.tokens(), work.room);
}

// Converts a face's patches of 4x4 pixels to tokens, a row of patches at a time.
template <class Arithmetic>
void stem(const Net& net, const uint8_t* crop, float* tokens, Work& work) {
  constexpr int ACROSS = SIDE / PATCH, LINE = PATCH * 3, DEPTH = PATCH * LINE;
  const int width = net.stage[0].width();
  for (int y = 0; y < ACROSS; ++y) {
    for (int x = 0; x < ACROSS; ++x) {
      for (int line = 0; line < PATCH; ++line) {
        const uint8_t* const from = crop + ((y * PATCH + line) * SIDE + x * PATCH) * 3;
        alignas(16) uint8_t bytes[LANES] = {};
        std::memcpy(bytes, from, LINE);
        // Values beyond the line's end are overwritten by the next line.
        store(work.a + x * DEPTH + line * LINE,
              from_bytes(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes))));
      }
    }
    float* const row = tokens + ptrdiff_t(y) * ACROSS * width;
    Arithmetic::template multiply<Then::nothing>(net.stem, {work.a, DEPTH, row, width}, ACROSS,
                                                 work.room);
  }
  normalize(tokens, tokens, ACROSS * ACROSS, net.stage[0].channels, net.stem_norm);
}

// tokens += MLP(mixed), a tile at a time.
template <class Arithmetic>
void add_mlp(const Mlp& mlp, const float* mixed, float* tokens, int count, int channels,
             Work& work) {
  const int width = padded(channels);
  for (int first = 0; first < count; first += TILE) {
    const int tile = count - first < TILE ? count - first : TILE;
    const ptrdiff_t at = ptrdiff_t(first) * width;
    normalize(mixed + at, work.a, tile, channels, mlp.norm);
    const int wide = mlp.spread.columns;
    float* const to = tokens + at;
    Arithmetic::template multiply<Then::gelu>(mlp.spread, {work.a, width, work.spread, wide}, tile,
                                              work.room);
    Arithmetic::template multiply<Then::add>(mlp.gather, {work.spread, wide, to, width, to}, tile,
                                             work.room);
  }
}

// Computes one stage for `faces` consecutive faces.
template <class Arithmetic>
void run_stage(const Stage& stage, float* tokens, float* mixed, int faces, Work& work) {
  const int each = stage.tokens(), width = stage.width();
  const ptrdiff_t face = ptrdiff_t(each) * width;
  for (int n = 0; n < stage.blocks; ++n) {
    const Block& block = stage.block[n];
    for (int f = 0; f < faces; ++f) {
      convolve(tokens + f * face, mixed + f * face, stage.side, width, stage.kernel,
               block.depthwise, block.bias, work.bordered);
    }
    add_mlp<Arithmetic>(block.mlp, mixed, tokens, faces * each, stage.channels, work);
  }
  const Attention& attention = stage.attention;
  if (attention.parts == 0) return;
  for (int f = 0; f < faces; ++f) {
    float* const own = mixed + f * face;
    convolve_parts(attention, tokens + f * face, own, stage.side, width, work);
    if (attention.positions != nullptr) {
      for (ptrdiff_t i = 0; i < face; i += LANES) {
        store(own + i, load(own + i) + load(attention.positions + i));
      }
    }
    attend<Arithmetic>(attention, own, each, stage.channels, work);
  }
  add_mlp<Arithmetic>(attention.mlp, mixed, tokens, faces * each, stage.channels, work);
}

// Sets all pointers into `scratch`; returns its size in floats.
size_t place(const Net& net, int faces, float* scratch, Work& work) {
  size_t first_two = 0, last_two = 0, spread = 0, bordered = 0, integers = 0;
  for (int i = 0; i < STAGES; ++i) {
    const Stage& stage = net.stage[i];
    const size_t tokens = stage.tokens(), width = stage.width();
    const size_t across = stage.side + stage.kernel - 1;
    size_t& state = i < 2 ? first_two : last_two;
    if (tokens * width > state) state = tokens * width;
    if (across * across * width > bordered) bordered = across * across * width;
    if (i > 0 && tokens * 3 * width > spread) spread = tokens * 3 * width;
    if (TILE * 4 * width > spread) spread = TILE * 4 * width;
    // The largest matrices that are multiplied: an expanded tile, and four merged tokens for each.
    const size_t merged = i > 0 ? tokens * 4 * net.stage[i - 1].width() : 0;
    if (TILE * 4 * width > integers) integers = TILE * 4 * width;
    if (merged > integers) integers = merged;
  }
  // A face in the first two stages is stored after those that have completed them.
  const size_t state = first_two + faces * last_two;
  const size_t sizes[] = {state,    state,  first_two,    first_two,
                          bordered, spread, integers / 2, SIDES[1] * SIDES[1]};
  float* at[8];
  size_t used = 0;
  for (int i = 0; i < 8; ++i) {
    at[i] = scratch == nullptr ? nullptr : scratch + used;
    used += (sizes[i] + 2 * LANES) / LANES * LANES;
  }
  work = {at[0], at[1], at[2], at[3], at[4], at[5], {reinterpret_cast<int16_t*>(at[6]), at[7]}};
  return used;
}

size_t count_floats(const Net& net, int faces) {
  Work work;
  return place(net, faces, nullptr, work);
}

template <class Arithmetic>
void embed_some(const Net& net, const uint8_t* crops, int faces, float* scratch, float* to) {
  Work work;
  place(net, faces, scratch, work);
  const Stage &second = net.stage[1], &third = net.stage[2], &fourth = net.stage[3];
  const ptrdiff_t small = ptrdiff_t(third.tokens()) * third.width();
  float* const large = work.tokens + faces * small;
  for (int f = 0; f < faces; ++f) {
    stem<Arithmetic>(net, crops + ptrdiff_t(f) * SIDE * SIDE * 3, large, work);
    run_stage<Arithmetic>(net.stage[0], large, work.mixed, 1, work);
    halve<Arithmetic>(second, large, large, SIDES[0], net.stage[0].channels, work);
    run_stage<Arithmetic>(second, large, work.mixed, 1, work);
    halve<Arithmetic>(third, large, work.tokens + f * small, SIDES[1], second.channels, work);
  }
  run_stage<Arithmetic>(third, work.tokens, work.mixed, faces, work);
  const int width = fourth.width();
  for (int f = 0; f < faces; ++f) {
    // The faces move forward as they shrink; none is overwritten before it is read.
    halve<Arithmetic>(fourth, work.tokens + f * small,
                      work.tokens + ptrdiff_t(f) * fourth.tokens() * width, SIDES[2],
                      third.channels, work);
  }
  run_stage<Arithmetic>(fourth, work.tokens, work.mixed, faces, work);
  const Vector share = all(1.0f / fourth.tokens());
  for (int f = 0; f < faces; ++f) {
    for (int c = 0; c < width; c += LANES) {
      Vector sum = zero();
      for (int t = 0; t < fourth.tokens(); ++t) {
        sum += load(work.tokens + (ptrdiff_t(f) * fourth.tokens() + t) * width + c);
      }
      store(work.a + ptrdiff_t(f) * width + c, sum * share);
    }
  }
  normalize(work.a, work.a, faces, fourth.channels, net.head_norm);
  Arithmetic::template multiply<Then::nothing>(net.head, {work.a, width, to, DIMENSIONS}, faces,
                                               work.room);
}

}  // namespace
}  // namespace edgeface
