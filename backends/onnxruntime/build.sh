#!/bin/sh
# Compile Triton's ONNX Runtime backend of the embedded server: build.sh LIBONNXRUNTIME [FOLDER]
# The library goes to FOLDER, by default to the folder of the sources.
set -eu
library=$1
sources=$(cd "$(dirname "$0")" && pwd)
folder=${2:-$sources}
mkdir -p "$folder"
# In two steps: a compiler that is stopped leaves no half library.
g++ -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror -fPIC -shared -fvisibility=hidden \
    -Wl,-rpath,'$ORIGIN' "$sources"/*.cc "$library" -o "$folder/new.so"
mv "$folder/new.so" "$folder/libtriton_onnxruntime.so"
