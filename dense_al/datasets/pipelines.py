"""Which steps of a pipeline open label files, and which carry answers."""

import copy
from collections.abc import Sequence
from typing import Any

from dense_al.registry import ConfigError


def without_annotations(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of a pipeline that opens no label file, and expects none of its content."""
    kept = []
    for step in copy.deepcopy(list(pipeline)):
        if isinstance(step, dict) and _name(step) in ('LoadPoints', 'ProjectPoints'):
            continue
        if isinstance(step, dict) and 'LoadAnnotations' in str(step.get('type')):
            continue
        kept.append(step)
    return kept


def with_masks(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of mmdet's training pipeline that reads the answered masks, which are bitmaps."""
    return [
        {**step, 'with_mask': True, 'poly2mask': True} if _name(step) == 'LoadAnnotations' else step
        for step in copy.deepcopy(list(pipeline))
    ]


def with_points(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of mmdet's training pipeline that carries the answered points of objects.

    Raises:
        ConfigError: It loads no annotations, or packs its results in a way of its own.
    """
    steps = []
    for step in with_masks(pipeline):
        if _name(step) == 'PackDetInputs':
            steps += [{'type': 'ProjectPoints'}, {**step, 'type': 'PackPointInputs'}]
            continue
        steps.append(step)
        if _name(step) == 'LoadAnnotations':
            steps.append({'type': 'LoadPoints'})
    kinds = [_name(step) for step in steps]
    if not {'LoadPoints', 'ProjectPoints'} <= set(kinds):
        raise ConfigError(
            'Expected `LoadAnnotations` and `PackDetInputs` in the pipeline of a model that learns '
            f'from points, but got {[_name(step) for step in pipeline]}'
        )
    return steps


def _name(step: Any) -> str:
    """The type of a step without its scope."""
    return str(step.get('type')).rsplit('.', 1)[-1] if isinstance(step, dict) else ''


def annotation_loader(pipeline: Sequence[Any]) -> dict[str, Any]:
    """The step of a pipeline that reads label files, which only the oracle may take."""
    for step in pipeline:
        if isinstance(step, dict) and 'LoadAnnotations' in str(step.get('type')):
            return dict(step)
    return {'type': 'LoadAnnotations'}
