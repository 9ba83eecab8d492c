#!/bin/sh
# Compile Triton's ONNX Runtime backend of the embedded server, against the wheel in .venv.
set -eu
cd "$(dirname "$0")/.."
library=$(.venv/bin/python -c 'from aurum.server.runtime import onnxruntime_library; print(onnxruntime_library())')
cd backends/onnxruntime
# In two steps: a compiler that is stopped leaves no half library.
g++ -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror -fPIC -shared -fvisibility=hidden \
    -Wl,-rpath,'$ORIGIN' ./*.cc "$library" -o new.so
mv new.so libtriton_onnxruntime.so
