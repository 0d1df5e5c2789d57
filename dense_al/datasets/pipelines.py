"""Which steps of a pipeline open label files, and which carry answers."""

import copy
from collections.abc import Sequence
from typing import Any

from dense_al.registry import ConfigError, type_name


def without_annotations(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of a pipeline that opens no label file, and expects none of its content."""
    kept = []
    for step in copy.deepcopy(list(pipeline)):
        name = type_name(step)
        if name in ('LoadPoints', 'ProjectPoints') or 'LoadAnnotations' in name:
            continue
        kept.append(step)
    return kept


def with_masks(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of mmdet's training pipeline that reads the answered masks, which are bitmaps."""
    return [
        {**step, 'with_mask': True, 'poly2mask': True}
        if type_name(step) == 'LoadAnnotations'
        else step
        for step in copy.deepcopy(list(pipeline))
    ]


def with_points(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of mmdet's training pipeline that carries the answered points of objects.

    Raises:
        ConfigError: It loads no annotations, or packs its results in a way of its own.
    """
    steps = []
    for step in with_masks(pipeline):
        if type_name(step) == 'PackDetInputs':
            steps += [{'type': 'ProjectPoints'}, {**step, 'type': 'PackPointInputs'}]
            continue
        steps.append(step)
        if type_name(step) == 'LoadAnnotations':
            steps.append({'type': 'LoadPoints'})
    kinds = [type_name(step) for step in steps]
    if not {'LoadPoints', 'ProjectPoints'} <= set(kinds):
        raise ConfigError(
            'Expected `LoadAnnotations` and `PackDetInputs` in the pipeline of a model that learns '
            f'from points, but got {[type_name(step) for step in pipeline]}'
        )
    return steps


def annotation_loader(pipeline: Sequence[Any]) -> dict[str, Any]:
    """The step of a pipeline that reads label files, which only the oracle may take."""
    for step in pipeline:
        if 'LoadAnnotations' in type_name(step):
            return dict(step)
    return {'type': 'LoadAnnotations'}
