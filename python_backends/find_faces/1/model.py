"""photo -> all its faces and their aligned crops."""

import numpy as np

from aurum.pipeline import find, request, triton
from aurum.settings import Settings


class TritonPythonModel:
    """Contract: config.pbtxt beside this folder. The work: aurum.pipeline.find."""

    def initialize(self, args):
        """Read the settings once."""
        self.settings = Settings.from_env()
        self.step = triton.Step(self.answer, self.settings)

    def execute(self, requests):
        """Hand the requests to the step's threads."""
        self.step.execute(requests)

    def finalize(self):
        """Finish what was accepted."""
        self.step.close()

    def answer(self, call):
        """One photo."""
        options = request.parse_options(call.parameters(), self.settings)
        found = find.find_faces(triton.image_of(call), options, self.settings, triton.detect)
        outputs = {
            "boxes": found.faces.boxes,
            "landmarks": found.faces.landmarks,
            "scores": found.faces.scores,
            "image_size": found.image_size,
            "models": np.array([found.detector, b""], np.object_),
        }
        if "crops" in call.requested_output_names():
            outputs["crops"] = found.crops()
        return outputs
