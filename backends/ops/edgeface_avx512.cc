// EdgeFace for AVX-512: for weights that are not whole, and processors without VNNI.

#include "edgeface_floats.h"

namespace edgeface {

const Compiled AVX512{count_floats, embed_some<Floats>};

}  // namespace edgeface
