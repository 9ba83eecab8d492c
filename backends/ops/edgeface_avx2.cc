// EdgeFace for AVX2 and FMA.

#include "edgeface_net.h"

namespace edgeface {

const Compiled AVX2{count_floats, embed_some<Floats>};

}  // namespace edgeface
