"""The run on disk: atomic files, commits, the lock. Nothing derived is stored."""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dense_al.files import write_atomically
from dense_al.pool import Ledger
from dense_al.structures import (
    ANSWERED,
    MODEL,
    Answer,
    ElementRows,
    Manifest,
    Query,
    answers_of_table,
    answers_table,
)

INITIAL = -1
# Table of a round -> the step that commits it.
TABLES = {
    'units': 'query', 'query': 'query', 'pseudo': 'query', 'maps': 'query', 'answers': 'round',
}  # fmt: skip
# What is shared by runs that start the same way: commits after what they describe.
START = (
    (INITIAL, ('units.parquet', 'query.parquet', 'maps.parquet', 'query.json', 'answers.parquet',
               'round.json')),
    (0, ('checkpoint.pth', 'train.json')),
)  # fmt: skip


class RunLockedError(RuntimeError):
    """Another process works on the same directory."""


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a commit, atomically."""
    write_text(path, json_text(content))


def json_text(content: dict[str, Any]) -> str:
    """JSON with sorted keys, and null for numbers that are not finite, which it does not have."""
    return json.dumps(_finite(content), indent=1, sort_keys=True, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    write_atomically(path, text.encode(), alone=True)


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a Parquet table atomically."""
    write_atomically(path, lambda file: pq.write_table(table, file), alone=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """What `write_json` wrote; None where there is no file.

    Raises:
        ValueError: A damaged file.
    """
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'Expected JSON in {path}, but got: {error}') from error
    if not isinstance(value, dict):
        raise ValueError(f'Expected an object in {path}, but got {type(value).__name__}')
    return value


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """What `write_table` wrote.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A damaged file.
    """
    try:
        return pq.read_table(path, columns=columns)
    except pa.ArrowInvalid as error:
        raise ValueError(f'Expected a Parquet table in {path}, but got: {error}') from error


def _finite(node: Any) -> Any:
    """A copy of something plain with None for numbers that are not finite."""
    if isinstance(node, dict):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_finite(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


class RunStore:
    """Files of one run.

    Args:
        work_dir: The run's folder.
        on_phase: Called with a name before and after each file is written; tests kill here.
    """

    def __init__(self, work_dir: Path | str, on_phase: Callable[[str], None] | None = None) -> None:
        self.work_dir = Path(work_dir)
        self._on_phase = on_phase or (lambda name: None)
        self._lock: Any = None

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run: its samples were written, or something of a round."""
        names = ('manifest.parquet', 'initial', 'rounds')
        return any((self.work_dir / name).exists() for name in names)

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.work_dir / 'config.py'

    def write_config(self, text: str) -> None:
        """Writes the resolved config."""
        self.phase('config')
        write_text(self.config_file, text)

    def environment(self) -> dict[str, Any]:
        """What the run was begun with, {} where it is not recorded."""
        return read_json(self.work_dir / 'environment.json') or {}

    def write_environment(self, content: dict[str, Any]) -> None:
        """Writes what the run is begun with."""
        write_json(self.work_dir / 'environment.json', content)

    def phase(self, name: str) -> None:
        """Marks a boundary between two phases of a round."""
        self._on_phase(name)

    def lock(self) -> None:
        """Takes the run's lock until the process ends.

        Raises:
            RunLockedError: Another process holds it.
        """
        self.work_dir.mkdir(parents=True, exist_ok=True)
        # lockf, not flock: a data worker that outlives a killed parent does not inherit it.
        file = open(self.work_dir / '.lock', 'a+')
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise RunLockedError(f'Another process is working in {self.work_dir}') from None
        self._lock = file

    def unlock(self) -> None:
        """Gives the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def folder(self, round_number: int) -> Path:
        """Folder of a round; `initial` for -1."""
        if round_number == INITIAL:
            return self.work_dir / 'initial'
        return self.work_dir / 'rounds' / f'{round_number:03d}'

    def checkpoint(self, round_number: int) -> Path:
        """Weights at the end of a round's training."""
        return self.folder(round_number) / 'checkpoint.pth'

    def rounds(self) -> list[int]:
        """Numbers of the rounds that were begun, ascending."""
        folders = (p for p in (self.work_dir / 'rounds').glob('*') if p.is_dir())
        return sorted(int(p.name) for p in folders if p.name.isdigit())

    def read(self, round_number: int, step: str) -> dict[str, Any] | None:
        """The commit of a step (`train`, `query` or `round`), None while it is not committed."""
        return read_json(self._commit(round_number, step))

    def committed_at(self, round_number: int, step: str) -> float:
        """When a committed step was, seconds since the epoch."""
        return self._commit(round_number, step).stat().st_mtime

    def _commit(self, round_number: int, step: str) -> Path:
        return self.folder(round_number) / f'{step}.json'

    def table(self, round_number: int, name: str) -> pa.Table | None:
        """A table of a round, one of `TABLES`; None before it is committed, or without one."""
        path = self.folder(round_number) / f'{name}.parquet'
        if self.read(round_number, TABLES[name]) is None or not path.is_file():
            return None
        return read_table(path)

    def commit(self, round_number: int, step: str, content: dict[str, Any]) -> None:
        """Writes the commit of a step; all its other files must lie there already."""
        self.phase(f'{round_number}:{step}:commit')
        write_json(self._commit(round_number, step), content)
        self.phase(f'{round_number}:{step}:committed')

    def write_query(
        self,
        round_number: int,
        query: Query,
        rows: ElementRows | None,
        pseudo: Query | None = None,
    ) -> None:
        """Writes what was asked and, if given, all scored rows and what the model labels itself."""
        folder = self.folder(round_number)
        if pseudo is not None:
            self.phase(f'{round_number}:query:pseudo')
            write_table(folder / 'pseudo.parquet', pseudo.table())
        if rows is not None:
            names = ('sample', 'instance', 'unit', 'score', 'size')
            self.phase(f'{round_number}:query:units')
            table = pa.table({name: getattr(rows, name) for name in names})
            write_table(folder / 'units.parquet', table)
        self.phase(f'{round_number}:query:table')
        write_table(folder / 'query.parquet', query.table())

    def write_maps(self, round_number: int, digests: dict[int, str]) -> None:
        """Writes the hash of the map of each sample whose regions are asked, if there are any."""
        if digests:
            self.phase(f'{round_number}:query:maps')
            table = pa.table({'sample': list(digests), 'digest': list(digests.values())})
            write_table(self.folder(round_number) / 'maps.parquet', table)

    def maps(self, round_number: int) -> dict[int, str]:
        """Sample -> hash of its map when its regions were asked; {} where nothing is recorded."""
        table = self.table(round_number, 'maps')
        if table is None:
            return {}
        return dict(zip(table['sample'].to_pylist(), table['digest'].to_pylist()))

    def query(self, round_number: int) -> Query:
        """The committed query of a round."""
        commit = self.read(round_number, 'query')
        if commit is None:
            raise FileNotFoundError(f'Expected a query in {self.folder(round_number)}')
        table = read_table(self.folder(round_number) / 'query.parquet')
        return Query.of_table(commit['kind'], table)

    def asked(self, round_number: int, declined_again: bool = False) -> Query:
        """What came of a round's query: without the units that were left to be asked again.

        Args:
            round_number: A round that is committed.
            declined_again: Whether those that were declined may be asked again.
        """
        query = self.query(round_number)
        names = ['sample', 'instance', 'unit', 'status', 'source']
        table = read_table(self.folder(round_number) / 'answers.parquet', names)
        closed = {
            (row['sample'], row['instance'], row['unit'])
            for row in table.to_pylist()
            if row['source'] != MODEL and (row['status'] == ANSWERED or not declined_again)
        }
        keys = zip(query.sample.tolist(), query.instance.tolist(), query.unit.tolist())
        return query.take(np.array([i for i, key in enumerate(keys) if key in closed], np.int64))

    def pseudo(self, round_number: int) -> Query | None:
        """What the model labels itself in a round whose query is committed, None for nothing."""
        table = self.table(round_number, 'pseudo')
        return None if table is None else Query.of_table(self.query(round_number).kind, table)

    def write_answers(self, round_number: int, answers: list[Answer]) -> None:
        """Writes a round's answers with their payloads."""
        self.phase(f'{round_number}:round:answers')
        write_table(self.folder(round_number) / 'answers.parquet', answers_table(answers))

    def answers(self, round_number: int) -> list[Answer]:
        """The committed answers of a round, [] where it has none."""
        if self.read(round_number, 'round') is None:
            return []
        return answers_of_table(read_table(self.folder(round_number) / 'answers.parquet'))

    def ledger(self, before: int) -> Ledger:
        """The fold of the initial labels and of the rounds before `before`."""
        return Ledger(self.answers(r) for r in range(INITIAL, before))

    def take_over_start(self, other: 'RunStore') -> None:
        """Links the initial labels and the trained round 0 of another run, or copies them."""
        for round_number, names in START:
            for name in names:
                if (other.folder(round_number) / name).exists():
                    _link(other.folder(round_number) / name, self.folder(round_number) / name)

    def manifest(self) -> Manifest:
        """The samples of the run.

        Raises:
            FileNotFoundError: They were not written.
        """
        return Manifest.load(self.work_dir / 'manifest.parquet')

    def save_manifest(self, manifest: Manifest) -> None:
        """Writes the manifest, or checks that it is the one the run began with.

        Raises:
            ValueError: The pool has changed since.
        """
        path = self.work_dir / 'manifest.parquet'
        if path.exists():
            before = self.manifest()
            if before.digest != manifest.digest:
                raise ValueError(
                    f'Expected the {len(before)} samples this run began with '
                    f'({before.digest}), but the pool now holds {len(manifest)} '
                    f'({manifest.digest}): {_first_difference(before, manifest)}'
                )
            return
        write_table(path, manifest.table())


def _first_difference(before: Manifest, now: Manifest) -> str:
    """Says where two manifests part."""
    for a, b in zip(before.names, now.names):
        if a != b:
            return f'`{a}` became `{b}`'
    if len(before) != len(now):
        longer = before if len(before) > len(now) else now
        return f'`{longer.names[min(len(before), len(now))]}` is in one of them only'
    changed = np.flatnonzero((before.heights != now.heights) | (before.widths != now.widths))
    return f'`{before.names[int(changed[0])]}` changed its size'


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none; files of a run never change."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f'.{target.name}.tmp')
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
