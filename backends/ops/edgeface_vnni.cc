// EdgeFace with integer weights in the MLPs, for AVX-512 VNNI.

#include "edgeface_net.h"
#include "linear_vnni.h"

namespace edgeface {
namespace {

struct Whole {
  static void run(const Mlp& mlp, Work& work, float* tokens, int count, int width) {
    const WholeLinear &spread = mlp.whole_spread, &gather = mlp.whole_gather;
    const int wide = spread.columns;
    for (int t = 0; t < count; ++t) {
      work.scale[t] = to_whole(work.a + ptrdiff_t(t) * width, width, spread.levels,
                               work.high + t * width, work.low + t * width);
    }
    multiply<Then::nothing>(
        spread, {work.high, work.low, width, work.scale, work.spread, wide, work.spread}, count);
    for (int t = 0; t < count; ++t) {
      float* const row = work.spread + ptrdiff_t(t) * wide;
      for (int c = 0; c < wide; c += LANES) store(row + c, gelu(load(row + c)));
      work.scale[t] = to_whole(row, wide, gather.levels, work.high + t * wide, work.low + t * wide);
    }
    multiply<Then::add>(gather, {work.high, work.low, wide, work.scale, tokens, width, tokens},
                        count);
  }
};

}  // namespace

const Compiled AVX512_VNNI{count_floats, embed_some<Whole>};

}  // namespace edgeface
