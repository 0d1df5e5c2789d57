"""Which step of a pipeline opens label files."""

import copy
from collections.abc import Sequence
from typing import Any


def without_annotations(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of a pipeline that opens no label file."""
    kept = []
    for step in copy.deepcopy(list(pipeline)):
        if isinstance(step, dict) and 'LoadAnnotations' in str(step.get('type')):
            continue
        kept.append(step)
    return kept


def annotation_loader(pipeline: Sequence[Any]) -> dict[str, Any]:
    """The step of a pipeline that reads label files, which only the oracle may take."""
    for step in pipeline:
        if isinstance(step, dict) and 'LoadAnnotations' in str(step.get('type')):
            return dict(step)
    return {'type': 'LoadAnnotations'}
