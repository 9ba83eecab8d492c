# NVIDIA's Triton with the packages that our step imports, and our operators, which its ONNX Runtime
# loads. The graphs are mounted as a volume (docs/guides/deployment.md).
FROM nvcr.io/nvidia/tritonserver:26.11-py3 AS operators
RUN apt-get update && apt-get install -y --no-install-recommends g++
COPY backends /opt/aurum/backends
RUN /opt/aurum/backends/ops/build.sh library

FROM nvcr.io/nvidia/tritonserver:26.11-py3

COPY locks/image.txt /opt/aurum/
RUN pip install --no-cache-dir --require-hashes --no-deps --requirement /opt/aurum/image.txt \
    && echo /opt/aurum > "$(python3 -c 'import site; print(site.getsitepackages()[0])')/aurum.pth"
COPY --from=operators /opt/aurum/backends/ops/libaurum_ops.so /opt/aurum/backends/ops/
COPY aurum /opt/aurum/aurum
COPY model_repository /opt/aurum/model_repository
COPY python_backends /opt/aurum/python_backends
COPY ensembles /opt/aurum/ensembles
# What this release has and the embedded 24.10 would refuse.
RUN python3 -m aurum.server.triton_version /opt/aurum

ENV AURUM_HOST=0.0.0.0 \
    LD_LIBRARY_PATH=/opt/aurum/backends/ops:${LD_LIBRARY_PATH} \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
EXPOSE 8000 8001 8002
# A real photo, because Triton reports that it is ready even if one of the step's processes is dead.
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 \
    CMD ["curl", "-fsS", "-o", "/dev/null", "-H", "Inference-Header-Content-Length: 0", \
         "--data-binary", "@/opt/aurum/aurum/assets/astronaut.jpg", \
         "http://127.0.0.1:8000/v2/models/analyze_faces/infer"]
ENTRYPOINT ["python3", "-m", "aurum.server.container"]
