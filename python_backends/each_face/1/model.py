"""The step `each_face`: its contract is in config.pbtxt, its code in aurum/pipeline/steps.py."""

from aurum.pipeline.steps import EachFace as TritonPythonModel

__all__ = ["TritonPythonModel"]
