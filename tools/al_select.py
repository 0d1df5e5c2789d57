"""Chooses the next units once: `al_select.py CONFIG CHECKPOINT --n 100 --out FILE`."""

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from dense_al.engine.build import build
from dense_al.engine.main import MISTAKE
from dense_al.engine.once import check_suffix, select_once, write_selection


def main(argv: list[str] | None = None) -> int:
    """Parses the command line, writes the selection; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('checkpoint', type=Path, metavar='CHECKPOINT')
    parser.add_argument('--n', type=int, required=True, help='number of units')
    parser.add_argument('--out', type=Path, required=True, help='.csv, .json or .parquet')
    parser.add_argument('--labelled', default='', help='file of names of labelled samples')
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    parser.add_argument('--sandbox', action='store_true')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    # Nothing is trained or kept: the same checks as a dry run.
    args.dry_run, args.resume, args.launcher = True, False, 'none'
    args.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    try:
        check_suffix(args.out)
        learner = build(args)
        query = select_once(learner, args.checkpoint, args.n, args.labelled)
        write_selection(query, learner.task.manifest.names, args.out)
    except (OSError, ValueError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return MISTAKE
    print(f'{len(query)} units of kind {query.kind} in {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
