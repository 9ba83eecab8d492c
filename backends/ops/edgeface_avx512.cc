// EdgeFace with MLPs in floats: for weights that are not whole, and processors without VNNI.

#include "edgeface_net.h"

namespace edgeface {
namespace {

struct Floats {
  static void run(const Mlp& mlp, Work& work, float* tokens, int count, int width) {
    const int wide = mlp.spread.columns;
    multiply<Then::gelu>(mlp.spread, {work.a, width, work.spread, wide, work.spread}, count);
    multiply<Then::add>(mlp.gather, {work.spread, wide, tokens, width, tokens}, count);
  }
};

}  // namespace

size_t scratch_floats(const Net& net, int faces) {
  Work work;
  return place(net, faces, nullptr, work);
}

void embed_avx512(const Net& net, const uint8_t* crops, int count, float* scratch, float* to) {
  embed<Floats>(net, crops, count, scratch, to);
}

}  // namespace edgeface
