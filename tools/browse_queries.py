#!/usr/bin/env python3
"""Writes pictures of what a run asked: `browse_queries.py WORK_DIR --round all --out pictures`."""

import argparse
import sys
from pathlib import Path

from dense_al.analysis import load_run, region_maps_of
from dense_al.analysis.gallery import show_best, write_panels
from dense_al.engine.predictions import predictions_of


def main(argv: list[str] | None = None) -> int:
    """Parses the command line and writes the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', metavar='WORK_DIR', help='the folder of a run')
    parser.add_argument(
        '--round', default='all', help='its number, -1 = initial labels; default: %(default)s'
    )
    parser.add_argument('--out', type=Path, help='default: queries in WORK_DIR')
    parser.add_argument(
        '--max', type=int, default=20, metavar='N', help='samples per round; default: %(default)s'
    )
    parser.add_argument('--show-3d', action='store_true', help='also show the best scan in 3-D')
    parser.add_argument('--no-predictions', action='store_true', help='build no model')
    args = parser.parse_args(argv)
    try:
        run = load_run(args.work_dir)
        numbers = [r.index for r in run.all_rounds if r.query]
        if args.round != 'all':
            numbers = [int(args.round)]
        out = args.out or Path(args.work_dir) / 'queries'
        maps = region_maps_of(args.work_dir)
        predicted = None if args.no_predictions else predictions_of(args.work_dir)
        for number in numbers:
            for path in write_panels(run, number, out, maps, predicted, max_images=args.max):
                print(path)
        for number in numbers if args.show_3d else ():  # without a display all pictures are there
            show_best(run, number, maps)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
