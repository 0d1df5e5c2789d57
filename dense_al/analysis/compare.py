"""Runs a grid of configs and seeds and compares them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[2] / 'tools' / 'al_train.py'


def run_grid(
    configs: Sequence[str], seeds: Sequence[int], work_dir: Path, jobs: int, options: Sequence[str]
) -> list[Path]:
    """Runs every config with every seed, a finished or begun run going on where it was.

    Args:
        configs: Config files; a method is named after its file.
        seeds: Seeds.
        work_dir: Each run lies in `<work_dir>/<method>/seed_<seed>`.
        jobs: Processes at once; the cores are divided among them.
        options: More arguments for `tools/al_train.py`.

    Returns:
        Folders of the runs.

    Raises:
        RuntimeError: A run failed.
    """
    cells = [(c, s, work_dir / Path(c).stem / f'seed_{s}') for s in seeds for c in configs]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)

    def run(cell: tuple[str, int, Path]) -> int:
        config, seed, folder = cell
        command = [sys.executable, str(TRAIN), config, '--seed', str(seed), '--resume']
        command += ['--work-dir', str(folder), *options]
        # More threads than cores make every process many times slower.
        env = {**os.environ, 'OMP_NUM_THREADS': str(threads), 'MKL_NUM_THREADS': str(threads)}
        return subprocess.run(command, env=env).returncode

    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(run, cells))
    failed = [str(folder) for (_, _, folder), code in zip(cells, codes) if code]
    if failed:
        raise RuntimeError(f'Expected all runs to finish, but these did not: {", ".join(failed)}')
    return [folder for _, _, folder in cells]
