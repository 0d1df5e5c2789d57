"""What a finished round's model says of a sample, for pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.engine.reopen import task_of
from dense_al.engine.store import RunStore
from dense_al.registry import ConfigError
from dense_al.structures import Boxes, DetectionOptions, InstancePrediction, MaskOptions

SHOWN = 0.3  # least score of a box in a picture


Prediction = np.ndarray | Boxes | InstancePrediction


def predictions_of(work_dir: Path | str) -> Callable[[int, int], Prediction | None] | None:
    """A function that predicts with the checkpoints of a run.

    Args:
        work_dir: Folder of the run.

    Returns:
        (round, sample) -> (H, W) uint8 classes, boxes, or maps of the objects where a model learns
        from points; None where the round has no checkpoint (the initial labels), or the model's
        boxes cannot be read. Or None where the folder holds no config to build the model from. The
        model is built when first needed.
    """
    store = RunStore(work_dir)
    if not store.config_file.is_file():
        return None
    task: list[Any] = []
    ledgers: dict[int, Any] = {}

    def predict(round_number: int, sample: int) -> Prediction | None:
        if round_number < 0 or not store.checkpoint(round_number).is_file():
            return None
        if not task:
            task.append(task_of(store))
        needs, options = _wanted(task[0])
        if round_number not in ledgers:
            ledgers[round_number] = store.ledger(before=round_number)
        found = task[0].predict(
            store.checkpoint(round_number),
            np.array([sample]),
            needs,
            options,
            ledgers[round_number],
        )
        try:
            prediction = next(iter(found))
        except ConfigError:  # a head that cannot be read; acquisitions at random take it
            return None
        if 'boxes' in needs:
            return Boxes(prediction.boxes, prediction.labels)
        if 'masks' in needs:
            return prediction
        return prediction.probs.argmax(0).cpu().numpy().astype(np.uint8)

    return predict


def _wanted(task: Any) -> tuple[frozenset[str], Any]:
    """What of a prediction is drawn."""
    if task.learns_points:
        return frozenset({'objects', 'masks'}), MaskOptions()
    if task.form == 'pixels':
        return frozenset({'probs'}), None
    return frozenset({'boxes'}), DetectionOptions(score_thr=SHOWN)
