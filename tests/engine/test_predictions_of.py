"""Pictures of what a round's model says, of models that say it and of others."""

import numpy as np
import pytest

from dense_al.engine import predictions
from dense_al.registry import ConfigError
from dense_al.structures import Boxes, DetPrediction


class Task:
    """A detector, or one whose head cannot be read."""

    form, learns_points = 'boxes', False

    def __init__(self, readable):
        self.readable = readable

    def predict(self, checkpoint, samples, needs, options, ledger):
        if not self.readable:
            raise ConfigError('Expected a detector whose class probabilities can be read')
        yield DetPrediction(
            sample=int(samples[0]), boxes=np.array([[0, 0, 4, 4]], np.float32),
            probs=np.array([[0.9, 0.1]], np.float32), background=np.array([0.1], np.float32),
            scores=np.array([0.9], np.float32), labels=np.array([0]))  # fmt: skip


@pytest.mark.parametrize('readable', [True, False])
def test_a_head_that_cannot_be_read_gives_no_picture(readable, tmp_path, monkeypatch):
    (tmp_path / 'config.py').write_text('')
    checkpoint = predictions.RunStore(tmp_path).checkpoint(0)
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b'')
    monkeypatch.setattr(predictions, 'task_of', lambda store: Task(readable))
    found = predictions.predictions_of(tmp_path)(0, 3)
    assert isinstance(found, Boxes) if readable else found is None
