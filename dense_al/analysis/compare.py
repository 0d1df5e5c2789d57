"""Runs a grid of configs and seeds and compares them."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dense_al.analysis.cells import (
    cell_file,
    curve_of_cell,
    key_of_file,
    read_cell,
    write_cell,
)
from dense_al.analysis.curves import Curve, load_curve
from dense_al.analysis.runs import load_run
from dense_al.analysis.statistics import SummaryRow, gap_closed
from dense_al.config import check_file
from dense_al.engine import RunStore
from dense_al.machine import cores

TRAIN = Path(__file__).resolve().parents[2] / 'tools' / 'al_train.py'
LOOK = 0.1  # seconds between two looks at running processes


@dataclass(frozen=True)
class Command:
    """One process, and where to store the curve of the run that it finishes.

    Attributes:
        words: The command line.
        cell: File to store the curve in, folder of the run, key of its config; None for none.
    """

    words: list[str]
    cell: tuple[Path, Path, str] | None = None

    def store(self) -> None:
        """Stores the curve of the run that the process has finished."""
        if self.cell is not None:
            path, folder, key = self.cell
            write_cell(path, load_run(folder), key)


@dataclass(frozen=True)
class Grid:
    """Configs x seeds, each a run of its own.

    Attributes:
        work_dir: Each run lies in `<work_dir>/<name of the config>/seed_<seed>`.
        jobs: Processes at once; the cores are divided among them.
        options: More arguments for `tools/al_train.py`.
        cells: Folder in which the curve of each finished run is stored; what is there already, of
            the same config and options, is not run again. None: nothing is stored.
    """

    work_dir: Path
    jobs: int
    options: Sequence[str] = ()
    cells: Path | None = None

    def folder(self, config: str, seed: int) -> Path:
        """Folder of one run."""
        return self.work_dir / Path(config).stem / f'seed_{seed}'

    def run(self, configs: Sequence[str], seeds: Sequence[int]) -> list[Path]:
        """Runs what is not finished yet; begun runs go on where they were.

        Runs of one seed that start the same way share initial labels and round 0: the first config
        that has it, or else the first that is left, trains it, and the others take it over.

        Args:
            configs: Config files of different names; a method is named after its file.
            seeds: Seeds.

        Returns:
            Folders of the runs, seed by seed; of stored ones they may not be there.

        Raises:
            ValueError: Two configs of one name, or one that does not exist.
            RuntimeError: A run failed.
        """
        _check(configs)
        left = {s: [c for c in configs if self.stored(c, s) is None] for s in seeds}
        first = {s: self._first(configs, left[s], s) for s in seeds if left[s]}
        shared = [s for s in first if len(left[s]) > 1 and first[s] in left[s]]
        self._all([self._command(first[s], s, '--stop-at-start') for s in shared])
        self._all([command for s in first for command in self._commands(left[s], first[s], s)])
        return [self.folder(config, seed) for seed in seeds for config in configs]

    def curves(
        self, configs: Sequence[str], seeds: Sequence[int], axis: str
    ) -> dict[str, list[Curve]]:
        """Curves over one of `AXES`, by the name of the config, stored or read from the runs."""
        groups: dict[str, list[Curve]] = {Path(config).stem: [] for config in configs}
        for seed in seeds:
            for config in configs:
                found = self.stored(config, seed)
                curve = (
                    load_curve(self.folder(config, seed), axis)
                    if found is None
                    else curve_of_cell(found, axis)
                )
                groups[Path(config).stem].append(curve)
        return groups

    def stored(self, config: str, seed: int) -> dict[str, Any] | None:
        """The stored curve of a run, None where there is none of this config."""
        if self.cells is None:
            return None
        return read_cell(cell_file(self.cells, Path(config).stem, seed), self._key(config))

    def _key(self, config: str) -> str:
        return key_of_file(config, self.options)

    def _first(self, configs: Sequence[str], left: Sequence[str], seed: int) -> str:
        """The config whose start the others of a seed take over."""
        begun = (c for c in configs if RunStore(self.folder(c, seed)).read(0, 'train') is not None)
        return next(begun, left[0])

    def _commands(self, configs: Sequence[str], first: str, seed: int) -> list[Command]:
        """What runs the configs of a seed; all but the first take over what they share."""
        commands = []
        for config in configs:
            start = [] if config == first else ['--start-from', str(self.folder(first, seed))]
            cell = None
            if self.cells is not None:
                path = cell_file(self.cells, Path(config).stem, seed)
                cell = (path, self.folder(config, seed), self._key(config))
            commands.append(replace(self._command(config, seed, *start), cell=cell))
        return commands

    def _command(self, config: str, seed: int, *more: str) -> Command:
        folder = self.folder(config, seed)
        base = [sys.executable, str(TRAIN), config, '--seed', str(seed), '--work-dir', str(folder)]
        resume = ['--resume'] if RunStore(folder).begun else []
        return Command([*base, *resume, *more, *self.options])

    def _all(self, commands: list[Command]) -> None:
        """Runs commands in parallel.

        Raises:
            RuntimeError: Some failed; the others were finished first.
        """
        # More threads than cores make every process many times slower; equal numbers of threads
        # make equal runs.
        threads = str(max(1, cores() // self.jobs))
        env = {**os.environ, 'OMP_NUM_THREADS': threads, 'MKL_NUM_THREADS': threads}
        failed = [' '.join(command.words[2:]) for command in _failing(commands, self.jobs, env)]
        if failed:
            listed = '\n  '.join(failed)
            raise RuntimeError(
                f'Expected all runs to finish, but {len(failed)} did not:\n  {listed}'
            )


def _failing(commands: Sequence[Command], jobs: int, env: Mapping[str, str]) -> list[Command]:
    """Runs commands, `jobs` at once; returns those that fail. What ends it early ends them."""
    waiting, failing = list(commands), []
    running: list[tuple[Command, subprocess.Popen]] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                command = waiting.pop(0)
                running.append((command, subprocess.Popen(command.words, env=env)))
            time.sleep(LOOK)
            for command, process in [pair for pair in running if pair[1].poll() is not None]:
                running.remove((command, process))
                if process.returncode:
                    failing.append(command)
                else:
                    command.store()
    except BaseException:
        for _, process in running:
            process.terminate()
        for _, process in running:
            process.wait()
        raise
    return [command for command in commands if command in failing]


def default_jobs(cells: int) -> int:
    """Runs at once if the user does not say: one per core, or a single one where there is a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else min(cells, cores())


def format_table(rows: Sequence[SummaryRow]) -> str:
    """The summary as text, one line per method."""
    width = max(len(row.method) for row in rows)
    title = 'area, difference to the baseline with its 95 % interval'
    lines = [f'{"method":{width}}  {"final":>14}  {"area":>14}  {title}']
    for row in rows:
        difference = 'baseline' if row.method == row.baseline else 'needs two seeds or more'
        if row.pairs > 1 and row.method != row.baseline:
            interval = f'[{row.auc_low:+.2f}, {row.auc_high:+.2f}]'
            difference = f'{row.auc_diff:+.2f} {interval}, p = {row.auc_p:.3f}'
        lines.append(
            f'{row.method:{width}}  {row.final_mean:7.2f} ± {row.final_std:4.2f}  '
            f'{row.auc_mean:7.2f} ± {row.auc_std:4.2f}  {difference}'
        )
        if row.reached:
            lines[-1] += (
                f'; {row.reach_target:.2f} after {row.reach_mean:,.0f} {row.axis} '
                f'({row.reached} of {row.seeds} seeds)'
            )
    return '\n'.join(lines)


def format_gaps(groups: Mapping[str, Sequence[Curve]], full_supervision: float) -> str:
    """The share of the gap to all labels that each round has closed, one line per method."""
    width = max(len(method) for method in groups)
    lines = ['gap to all labels closed, per round']
    for method, curves in groups.items():
        shares = '  '.join(f'{100 * g:5.1f} %' for g in gap_closed(curves, full_supervision))
        lines.append(f'{method:{width}}  {shares}')
    return '\n'.join(lines)


def _check(configs: Sequence[str]) -> None:
    names = [Path(config).stem for config in configs]
    if len(set(names)) != len(names):
        raise ValueError(f'Expected configs of different names, but got {names}')
    for config in configs:
        check_file(Path(config))
