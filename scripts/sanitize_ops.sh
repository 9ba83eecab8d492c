#!/bin/sh
# Run the operators' tests under AddressSanitizer and UBSan, once for each kind of processor that
# this one can emulate.
set -eu
cd "$(dirname "$0")/.."
backends/ops/build.sh sanitized
for name in asan ubsan stdc++; do
    libraries="${libraries:-} $(g++ -print-file-name=lib$name.so)"
done
for without in none avx512_vnni avx512f; do
    echo "without: $without"
    # No leak detection: Python and onnxruntime don't free everything before the process ends.
    AURUM_CPU_WITHOUT=$without LD_PRELOAD="$libraries" ASAN_OPTIONS=detect_leaks=0 \
        AURUM_OPS_LIBRARY=backends/ops/build/sanitized/libaurum_ops.so \
        .venv/bin/python -m pytest -q tests/unit/models/test_ops.py tests/unit/models/test_ops_processors.py
done
