#!/bin/sh
# Compile the embedded server's ONNX Runtime backend: build.sh LIBONNXRUNTIME [FOLDER]
# The library is written to FOLDER, by default the folder of the sources.
set -eu
library=$1
sources=$(cd "$(dirname "$0")" && pwd)
folder=${2:-$sources}
mkdir -p "$folder"
# In two steps, so that an interrupted compiler leaves no incomplete library.
g++ -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror -fPIC -shared -fvisibility=hidden \
    -Wl,-rpath,'$ORIGIN' "$sources"/*.cc "$library" -o "$folder/new.so"
mv "$folder/new.so" "$folder/libtriton_onnxruntime.so"
