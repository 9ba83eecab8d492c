// EdgeFace for AVX-512 without VNNI.

#include "edgeface_net.h"

namespace edgeface {

const Compiled AVX512{count_floats, embed_some<Floats>};

}  // namespace edgeface
