"""Mistakes in the shipped configs: how often they end in a clear error, and what else happens.

python benchmarks/fuzz_configs.py --n 2000 --seed 0
python benchmarks/fuzz_configs.py --seed 0 --only 17 --keep FOLDER    # to look at one of them
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from dense_al import ops

ops.install()
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'tests'))

from tiny import shipped, tiny_config, write_data  # noqa: E402

from dense_al.testing.fuzz import OUTCOMES, dry_run, judge  # noqa: E402
from dense_al.testing.mutations import KINDS, mutated, write_config  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--n', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', type=int, help='number of one mutation')
    parser.add_argument('--keep', type=Path, help='where to leave the configs with their data')
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = args.keep or Path(tempfile.mkdtemp(prefix='fuzz_'))
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    counts: Counter[tuple[str, str]] = Counter()
    begun = time.perf_counter()
    for number in range(args.n) if args.only is None else [args.only]:
        rng = np.random.default_rng([args.seed, number])
        mutation = None
        while mutation is None:
            name = str(rng.choice(shipped()))
            write_data(folder, name)
            cfg, mutation = mutated(tiny_config(name), rng)
        path = write_config(cfg, folder / 'configs' / f'{number:05d}.py')
        began = time.perf_counter()
        code, said = dry_run(cfg, path, folder / 'work_dirs' / str(number))
        outcome = judge(mutation, cfg, code, said)
        counts[mutation.kind, outcome.kind] += 1
        if outcome.failed or args.only is not None:
            took = time.perf_counter() - began
            print(f'{number:5d} {outcome.kind} ({took:.1f} s) {name}\n      {mutation}')
            print(f'      {outcome.message[:600]}', flush=True)
    print(f'\n{"":14s}' + ''.join(f'{kind:>15s}' for kind in OUTCOMES))
    for kind in [*KINDS, 'all']:
        row = [sum(n for (k, o), n in counts.items() if kind in (k, 'all') and o == outcome)
               for outcome in OUTCOMES]  # fmt: skip
        print(f'{kind:14s}' + ''.join(f'{n:15d}' for n in row))
    print(f'{time.perf_counter() - begun:.0f} s; to look at one: --seed {args.seed} '
          '--only NUMBER --keep FOLDER')  # fmt: skip
    return int(any(outcome in OUTCOMES[2:] for _, outcome in counts))


if __name__ == '__main__':
    sys.exit(main())
