"""The step `each_face`, implemented in aurum/pipeline/steps.py; see config.pbtxt for its contract."""

from aurum.pipeline.steps import EachFace as TritonPythonModel

__all__ = ["TritonPythonModel"]
