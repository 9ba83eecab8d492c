"""Contract: config.pbtxt beside this folder. The work: aurum/pipeline/steps.py."""

from aurum.pipeline.steps import LargestFace as TritonPythonModel

__all__ = ["TritonPythonModel"]
