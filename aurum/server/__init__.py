"""Running the real tritonserver that the nvidia-pytriton wheel carries."""
