"""Labels the user already has."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dense_al.adapters.task import Task
from dense_al.registry import ConfigError, nearest
from dense_al.structures import (
    ANSWERED,
    Answer,
    ElementRows,
    Manifest,
    Query,
)


def named_samples(labelled: str | Sequence[str], manifest: Manifest) -> np.ndarray:
    """Samples by name.

    Args:
        labelled: Names as in the manifest (with or without suffix), or a text file with one per
            line.
        manifest: The samples.

    Returns:
        (S,) int64 sorted indices.

    Raises:
        ConfigError: No such file, no names, an unknown name, or one of several samples.
    """
    if isinstance(labelled, str):
        if not Path(labelled).is_file():
            raise ConfigError(
                f'Expected `rounds.initial.labelled` to be a file, but got {labelled}'
            )
        lines = Path(labelled).read_text(encoding='utf-8').splitlines()
        labelled = [line.strip() for line in lines if line.strip()]
    if not labelled:
        raise ConfigError('Expected names in `rounds.initial.labelled`, but got none')
    return np.unique(np.array([_named(name, manifest) for name in labelled], np.int64))


def _named(name: str, manifest: Manifest) -> int:
    """The sample of a name."""
    found = manifest.samples_of(name)
    if not found:
        raise ConfigError(
            f'Unknown sample {name!r} in `rounds.initial.labelled`. {nearest(name, manifest.names)}'
        )
    if len(found) > 1:
        several = ' and '.join(f'`{manifest.names[sample]}`' for sample in found)
        raise ConfigError(
            f'Expected names with suffix in `rounds.initial.labelled`, as {name!r} is that of '
            f'{several}'
        )
    if found[0] >= manifest.n_pool:
        raise ConfigError(
            'Expected samples of the pool in `rounds.initial.labelled`, but got '
            f'{manifest.names[found[0]]!r} of the source domain, which is labelled anyway'
        )
    return found[0]


def existing_labels(samples: np.ndarray, task: Task) -> tuple[Query, list[Answer]]:
    """Whole-image answers, free of charge, from the label files the user has.

    Args:
        samples: (S,) indices into the manifest.
        task: Reads the label files.
    """
    size = task.manifest.areas[samples]
    rows = ElementRows(
        sample=samples,
        instance=np.full(len(samples), -1, np.int64),
        unit=np.zeros(len(samples), np.int64),
        score=np.zeros(len(samples)),
        size=size,
        category=np.full(len(samples), -1, np.int64),
    )
    answers = []
    for sample in samples:
        label = task.read_label(int(sample))
        answers.append(
            Answer(
                sample=int(sample),
                instance=-1,
                unit=0,
                kind='image',
                status=ANSWERED,
                source='existing',
                elements=int(task.manifest.areas[sample]),
                category=label.category,
                clicks=0.0,
                seconds=0.0,
                expires_round=-1,
                payload=label.encode(),
            )
        )
    return Query.of_rows('image', rows), answers
