"""Curves of finished runs as small files, so that a study can be interrupted and extended."""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dense_al.analysis.curves import Curve, curve_of_rounds
from dense_al.analysis.runs import Run
from dense_al.config import read_config
from dense_al.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
CODE = ('dense_al', 'configs', 'tools')  # what a run follows from
KEPT = ('units', 'elements', 'clicks', 'seconds', 'fraction')


def cell_file(folder: Path, method: str, seed: int) -> Path:
    """The file of one method and seed."""
    return folder / method / f'seed_{seed}.json'


def config_key(text: str, options: Sequence[str] = ()) -> str:
    """Hash of what a run follows from besides its seed: the resolved config and the options."""
    parts = json.dumps([text, list(options)])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def key_of_file(config: str | Path, options: Sequence[str] = ()) -> str:
    """`config_key` of a config file; where its data lie on this machine makes no difference."""
    return config_key(read_config(config, environment=False).pretty_text, options)


def commit_of(folder: Path = ROOT) -> str | None:
    """The commit of a checkout, with `+` if its code was changed since; None outside of one."""

    def git(*words: str) -> str:
        command = ['git', '-C', str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git('rev-parse', '--show-toplevel')).resolve() != folder.resolve():
            return None  # installed inside of another project
        changed = git('status', '--porcelain', '--', *CODE)
        return git('rev-parse', '--short=10', 'HEAD') + ('+' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        return None


def write_cell(path: Path, run: Run, key: str) -> None:
    """Stores the curve of a finished run, whole or not at all.

    Args:
        path: See `cell_file`.
        run: The run.
        key: Of its config.
    """
    trained = [r.train for r in run.rounds if r.train]
    finished = run.store.committed_at(run.rounds[-1].index, 'train')
    content = {
        'key': key,
        'method': path.parent.name,
        'seed': run.seed,
        'metric': run.metric,
        'kind': run.kind,
        'elements_name': run.elements_name,
        'threads': run.environment.get('threads'),
        'device': run.environment.get('device'),
        'versions': run.environment.get('versions'),
        'commit': commit_of(),
        'finished': datetime.fromtimestamp(finished, timezone.utc).isoformat(timespec='seconds'),
        'rounds': [
            {
                'value': train['value'],
                'labelled': {k: train['labelled'][k] for k in KEPT},
                'per_class': train.get('per_class') or {},
            }
            for train in trained
        ],
    }
    write_atomically(path, (json.dumps(content, indent=1) + '\n').encode())


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


def curve_of_cell(content: Mapping[str, Any], axis: str = 'pixels') -> Curve:
    """The learning curve of a stored run, as `load_curve` gives it of a whole one."""
    name = f'{content["method"]} seed {content["seed"]}'
    return curve_of_rounds(
        content['rounds'],
        axis,
        metric=content['metric'],
        kind=content['kind'],
        elements_name=content['elements_name'],
        name=name,
        seed=content['seed'],
        where=f'the stored curve of {name}',
    )
