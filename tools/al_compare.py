"""Compares configs over seeds: `al_compare.py CONFIG... --seeds 0 1 2 --work-dir D`."""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from dense_al.analysis import load_curve, rank_tests_note, summarise, write_report, write_table
from dense_al.analysis.compare import run_grid


def main(argv: list[str] | None = None) -> int:
    """Runs the grid, prints the table, writes table and page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='the first is the baseline')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/compare'))
    parser.add_argument('--jobs', type=int, default=1, help='runs at once')
    parser.add_argument('--html', type=Path, help='default: report.html in the work dir')
    parser.add_argument('--full', type=float, metavar='VALUE', help='the metric with all labels')
    args, options = parser.parse_known_args(argv)
    try:
        folders = run_grid(args.configs, args.seeds, args.work_dir, args.jobs, options)
    except (RuntimeError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    groups = defaultdict(list)
    for folder in folders:
        groups[folder.parent.name].append(load_curve(folder, 'pixels'))
    rows = summarise(groups, Path(args.configs[0]).stem, full_supervision=args.full)
    for row in rows:
        difference = ''
        if row.pairs > 1:
            difference = (
                f'  {row.auc_diff:+.2f} [{row.auc_low:+.2f}, {row.auc_high:+.2f}] to {row.baseline}'
            )
        print(
            f'{row.method:24s} {row.metric} {row.final_mean:6.2f} ± {row.final_std:.2f}  '
            f'area {row.auc_mean:6.2f} ± {row.auc_std:.2f}{difference}'
        )
    print(rank_tests_note(len(args.seeds)))
    write_table(rows, args.work_dir / 'table.csv')
    html = args.html or args.work_dir / 'report.html'
    print(write_report([str(f) for f in folders], html, args.full))
    return 0


if __name__ == '__main__':
    sys.exit(main())
