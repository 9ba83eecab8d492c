"""Family adapters: each turns an upstream ONNX file into a served graph.

Every detector is served under one contract, and so is every embedder (docs/contract.md), so the
pipelines never know which family answers. A new family is one module here and one line below.
"""

from aurum.models.families import arcface, scrfd, simulated, yunet

DETECTORS = {"yunet": yunet.build, "scrfd": scrfd.build}
EMBEDDERS = {"arcface": arcface.build}
SIMULATED = {"detector": simulated.build_detector, "embedder": simulated.build_embedder}
