"""aligned crops, any number of them -> embeddings."""

import numpy as np
import triton_python_backend_utils as pb_utils

from aurum.pipeline import embed, triton
from aurum.settings import Settings


class TritonPythonModel:
    """Contract: config.pbtxt beside this folder. The work: aurum.pipeline.embed."""

    def initialize(self, args):
        """Read the settings once."""
        self.step = triton.Step(self.answer, Settings.from_env())

    def execute(self, requests):
        """Hand the requests to the step's threads."""
        self.step.execute(requests)

    def finalize(self):
        """Finish what was accepted."""
        self.step.close()

    def answer(self, call):
        """The crops of one photo."""
        crops = pb_utils.get_input_tensor_by_name(call, "crops").as_numpy()
        found_by = pb_utils.get_input_tensor_by_name(call, "found_by").as_numpy()
        embeddings, embedder = embed.embed_crops(crops, triton.embed)
        return {
            "embeddings": embeddings,
            "models": np.array([found_by[0], embedder], np.object_),
        }
