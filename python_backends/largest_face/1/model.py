"""The step `largest_face`: its contract is in config.pbtxt, its code in aurum/pipeline/steps.py."""

from aurum.pipeline.steps import LargestFace as TritonPythonModel

__all__ = ["TritonPythonModel"]
