"""Curves of finished runs as small files, so that a study can be interrupted and extended."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.analysis.curves import AXES, Curve, Run

KEPT = ('units', 'elements', 'clicks', 'seconds', 'fraction')


def cell_file(folder: Path, method: str, seed: int) -> Path:
    """The file of one method and seed."""
    return folder / method / f'seed_{seed}.json'


def config_key(text: str, options: Sequence[str] = ()) -> str:
    """Hash of what a run follows from besides its seed: the resolved config and the options."""
    parts = json.dumps([text, list(options)])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def write_cell(path: Path, run: Run, key: str) -> None:
    """Stores the curve of a finished run, whole or not at all.

    Args:
        path: See `cell_file`.
        run: The run.
        key: Of its config.
    """
    trained = [r.train for r in run.rounds if r.train]
    content = {
        'key': key,
        'method': path.parent.name,
        'seed': run.seed,
        'metric': run.metric,
        'kind': run.kind,
        'elements_name': run.elements_name,
        'threads': run.environment.get('threads'),
        'versions': run.environment.get('versions'),
        'rounds': [
            {
                'value': train['value'],
                'labelled': {k: train['labelled'][k] for k in KEPT},
                'per_class': train.get('per_class') or {},
            }
            for train in trained
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.tmp')
    temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    os.replace(temporary, path)


def read_cell(path: Path, key: str | None = None) -> dict[str, Any] | None:
    """What `write_cell` stored; None where there is no file, or one of another config.

    Args:
        path: See `cell_file`.
        key: Of the config it must be of; None: any.

    Raises:
        ValueError: A damaged file.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        rounds = content['rounds']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'Expected a stored curve in {path}, but got: {error}') from error
    return content if rounds and key in (None, content['key']) else None


def curve_of_cell(content: dict[str, Any], axis: str = 'pixels') -> Curve:
    """The learning curve of a stored run, as `load_curve` gives it of a whole one."""
    field, label = AXES[axis]
    if axis == 'pixels':
        label = f'labelled {content["elements_name"]}'
    elif axis == 'labels' and content['kind']:
        label = f'labelled {content["kind"]}s'
    rounds = content['rounds']
    return Curve(
        x=np.array([r['labelled'][field] for r in rounds], np.float64),
        y=np.array([np.nan if r['value'] is None else r['value'] for r in rounds], np.float64),
        metric=content['metric'],
        axis=axis,
        x_label=label,
        name=f'{content["method"]} seed {content["seed"]}',
        seed=content['seed'],
    )
