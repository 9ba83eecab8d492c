// YuNet for AVX-512 without VNNI.

#include "yunet_net.h"

namespace yunet {

const Compiled AVX512{count_floats, detect_one<Floats, FloatStem>};

}  // namespace yunet
