// EdgeFace for AVX-512 VNNI.

#include "edgeface_net.h"
#include "linear_vnni.h"

namespace edgeface {

const Compiled AVX512_VNNI{count_floats, embed_some<Integers>};

}  // namespace edgeface
