// EdgeFace for AVX2 and FMA.

#include "edgeface_floats.h"

namespace edgeface {

const Compiled AVX2{count_floats, embed_some<Floats>};

}  // namespace edgeface
