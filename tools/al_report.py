#!/usr/bin/env python3
"""Writes one HTML page about one or many runs: `al_report.py WORK_DIR... --out report.html`."""

import argparse
import sys
from pathlib import Path

from dense_al.analysis import Gallery, write_report
from dense_al.engine.predictions import predictions_of


def main(argv: list[str] | None = None) -> int:
    """Parses the command line and writes the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'work_dirs', nargs='+', metavar='WORK_DIR', help='a run, or a folder of runs'
    )
    parser.add_argument('--out', type=Path, help='default: report.html in the first WORK_DIR')
    parser.add_argument('--full', type=float, metavar='VALUE', help='the metric with all labels')
    parser.add_argument('--baseline', help='method to compare with; default: the random one')
    parser.add_argument(
        '--rounds', nargs='+', type=int, metavar='N', help='rounds to show, -1 = initial labels'
    )
    parser.add_argument(
        '--max-images',
        type=int,
        default=4,
        metavar='N',
        help='samples per round; default: %(default)s',
    )
    parser.add_argument('--no-predictions', action='store_true', help='build no model')
    args = parser.parse_args(argv)
    out = args.out or Path(args.work_dirs[0]) / 'report.html'
    predictions = (lambda work_dir: None) if args.no_predictions else predictions_of
    gallery = Gallery(args.rounds, args.max_images, predictions=predictions)
    try:
        print(write_report(args.work_dirs, out, args.full, gallery, baseline=args.baseline))
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
