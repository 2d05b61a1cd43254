"""A configured model is ready to train."""

import keras
import numpy as np

from fgf_keras.config import parse_config
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.training.build import build_model


def test_the_training_step_is_traced_once(monkeypatch, rng):
    config = parse_config(
        {
            "data": {"size": 16},
            "model": {"filters": [2], "kernel_sizes": [3], "dense": [4]},
            "features": ["brightness"],
        }
    )
    traced = []
    step = AlignmentModel.train_step
    monkeypatch.setattr(AlignmentModel, "train_step", lambda *inputs: traced.append(1) or step(*inputs))
    keras.utils.set_random_seed(0)
    model = build_model(config, (16, 16, 1), 2)
    mask = np.zeros((8, 16, 16, 1), np.float32)
    mask[:, 4:9, 5:12] = 1
    model.fit(
        {"image": rng.uniform(size=mask.shape).astype(np.float32), "mask": mask},
        np.arange(8) % 2,
        batch_size=4,
        verbose=0,
    )
    assert len(traced) == 1
