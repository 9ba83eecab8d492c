"""The step `largest_face`, implemented in aurum/pipeline/steps.py; see config.pbtxt for its contract."""

from aurum.pipeline.steps import LargestFace as TritonPythonModel

__all__ = ["TritonPythonModel"]
