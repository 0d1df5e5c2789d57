"""Compares configs over seeds: `al_compare.py CONFIG... --seeds 0 1 2 --work-dir D`.

Finished runs are kept: more seeds or configs extend the comparison, a killed one goes on. Unknown
options are handed to `al_train.py`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from dense_al.analysis import (
    Gallery,
    rank_correlation,
    rank_tests_note,
    read_table,
    summarise,
    write_report,
    write_table,
)
from dense_al.analysis.compare import (
    Grid,
    default_jobs,
    format_gaps,
    format_table,
)
from dense_al.analysis.curves import AXES
from dense_al.analysis.plot import learning_curves, to_png
from dense_al.engine.predictions import predictions_of
from dense_al.engine.reopen import is_run
from dense_al.interrupts import interrupts


def main(argv: list[str] | None = None) -> int:
    """Runs the grid, prints the table, writes table, picture and page; returns the exit code."""
    args, options = _parse(argv)
    cells = len(args.configs) * len(args.seeds)
    grid = Grid(args.work_dir, args.jobs or default_jobs(cells), options, args.cells)
    try:
        with interrupts():
            folders = grid.run(args.configs, args.seeds)
            full = _full(args.full, grid, args.seeds)
        groups = grid.curves(args.configs, args.seeds, args.axis)
        rows = summarise(
            groups, Path(args.configs[0]).stem, full_supervision=full, share=args.reach
        )
        print(f'{rows[0].metric}, mean ± standard deviation over {len(args.seeds)} seeds')
        print(format_table(rows))
        if full is not None:
            print(f'all labels: {full:.2f}')
            print(format_gaps(groups, full))
        print(rank_tests_note(len(args.seeds)))
        args.work_dir.mkdir(parents=True, exist_ok=True)  # absent where all curves were stored
        write_table(rows, args.work_dir / 'table.csv')
        to_png(learning_curves(groups, full), args.work_dir / 'curves.png')
        html = args.html or args.work_dir / 'report.html'
        gallery = Gallery(max_images=3, predictions=predictions_of)
        there = [str(f) for f in folders if is_run(f)]
        written = [args.work_dir / 'table.csv', args.work_dir / 'curves.png']
        if there:  # stored curves have no pictures
            # The page has the runs alone: the baseline may be known by its stored curves.
            first = Path(args.configs[0]).stem
            baseline = first if any(Path(f).parent.name == first for f in there) else None
            write_report(there, html, full, gallery, baseline=baseline)
            written.append(html)
        print(f'written: {", ".join(map(str, written))}')
        if args.against is not None:
            tables = [{r.method: r.auc_mean for r in t} for t in (rows, read_table(args.against))]
            found = rank_correlation(*tables)
            print(
                f'rank correlation with {args.against}: Kendall {found.kendall:.2f}, Spearman '
                f'{found.spearman:.2f} over {found.n} methods'
            )
    except (RuntimeError, OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('\nInterrupted; the same command goes on.', file=sys.stderr)
        return 130
    return 0


def _full(given: str | None, grid: Grid, seeds: list[int]) -> float | None:
    """The metric with all labels: a number, or the mean over the seeds of a config."""
    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        grid.run([given], seeds)
        curves = grid.curves([given], seeds, 'pixels')[Path(given).stem]
        return float(np.mean([curve.y[-1] for curve in curves]))


def _parse(argv: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='the first is the baseline')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], help='default: 0')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/compare'), help='default: %(default)s'
    )
    parser.add_argument('--jobs', type=int, help='runs at once; default: one per core, 1 on a GPU')
    parser.add_argument(
        '--cells',
        type=Path,
        help='keep curves of finished runs here and use them',
    )
    parser.add_argument('--html', type=Path, help='default: report.html in the work dir')
    parser.add_argument('--full', metavar='VALUE|CONFIG', help='the metric with all labels')
    parser.add_argument(
        '--axis', choices=AXES, default='pixels', help='of the curves; default: %(default)s'
    )
    parser.add_argument(
        '--reach',
        type=float,
        default=0.9,
        help="share of all labels' metric to be reached; default: %(default)s",
    )
    parser.add_argument('--against', type=Path, metavar='TABLE', help='correlate ranks with it')
    return parser.parse_known_args(argv)


if __name__ == '__main__':
    sys.exit(main())
