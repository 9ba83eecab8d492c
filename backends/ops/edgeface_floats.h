// EdgeFace with float weights in the MLPs.
#pragma once

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
}  // namespace edgeface
