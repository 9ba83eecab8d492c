// YuNet for AVX2 and FMA.

#include "yunet_net.h"

namespace yunet {

const Compiled AVX2{count_floats, detect_one<Floats, FloatStem>};

}  // namespace yunet
