"""Run the tritonserver from the nvidia-pytriton wheel: start, watch, drain and stop it."""
