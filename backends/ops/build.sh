#!/bin/sh
# Compile the operators: build.sh library [FOLDER] | sanitized | fuzzer
#   library    libaurum_ops.so, which onnxruntime loads; in FOLDER, by default this one
#   sanitized  the same with AddressSanitizer and UBSan, in build/sanitized
#   fuzzer     a program that runs the kernels on random sizes, with both, in build/sanitized
# Only the kernel files are compiled for the processors in their names. The other files, which
# choose the kernels, run on any processor.
set -eu
cd "$(dirname "$0")"
what=${1:-library}
out=${2:-.}
folder=$out/build/$what flags=-O3
if [ "$what" != library ]; then
    folder=build/sanitized
    flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
fi
mkdir -p "$folder"
compiler=${CXX:-g++}
case $("$compiler" -dumpmachine) in
    x86_64-*) ;;
    *) # a library without kernels, so that the plain graphs are served
        echo 'extern "C" const char* aurum_kernels() { return ""; }' |
            "$compiler" -shared -fPIC -x c++ - -o "$out/libaurum_ops.so"
        exit ;;
esac
# GCC 12 warns about undefined lanes in its own intrinsics.
warnings="-Wall -Wextra -Wpedantic -Werror -Wno-uninitialized -Wno-maybe-uninitialized"
avx512="-mavx512f -mavx512dq -mavx512bw -mavx512vl"
headers=$(ls -t ./*.h ../onnxruntime/onnxruntime_api.h | head -n 1)
[ "$what" = fuzzer ] && sources="$(ls ./*.cc | grep -v ops.cc) tests/fuzz.cc" || sources=$(ls ./*.cc)
jobs=""
for source in $sources; do
    object=$folder/$(basename "$source" .cc).o
    case "$source" in
        *_avx2.cc) more="-mavx2 -mfma" ;;
        *_avx512.cc) more=$avx512 ;;
        *_vnni.cc) more="$avx512 -mavx512vnni" ;;
        *) more= ;;
    esac
    objects="${objects:-} $object"
    if [ "$object" -nt "$source" ] && [ "$object" -nt "$headers" ]; then continue; fi
    # shellcheck disable=SC2086
    ("$compiler" -std=c++17 $flags $warnings $more -fPIC -fvisibility=hidden -c "$source" -o "$object.new" &&
        mv "$object.new" "$object") &
    jobs="$jobs $!"
done
for job in $jobs; do wait "$job"; done
# In two steps, so that an interrupted linker leaves no incomplete library.
# shellcheck disable=SC2086
case "$what" in
    library) "$compiler" -shared $objects -o "$out/build/new.so" && mv "$out/build/new.so" "$out/libaurum_ops.so" ;;
    sanitized) "$compiler" -shared $flags $objects -o "$folder/libaurum_ops.so" ;;
    fuzzer) "$compiler" $flags $objects -lpthread -o "$folder/fuzz" ;;
    *) echo "build.sh library | sanitized | fuzzer" >&2 && exit 2 ;;
esac
