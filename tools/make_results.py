"""Makes the pages of docs/results from stored runs: `make_results.py [--run STUDY | --missing]`.

A study is described in docs/results/studies; its finished runs lie in docs/results/cells. `--run`
first makes the runs that are missing; it can be interrupted and goes on.
"""

import argparse
import sys
from functools import cache
from pathlib import Path

from dense_al.analysis.cells import key_of_file
from dense_al.analysis.compare import Grid, default_jobs
from dense_al.analysis.pages import index_page, study_figure, study_page
from dense_al.analysis.plot import to_png
from dense_al.analysis.studies import (
    Entry,
    Study,
    load_entries,
    missing_runs,
    read_studies,
)
from dense_al.interrupts import interrupts
from dense_al.registry import nearest

ROOT = Path(__file__).resolve().parents[1]
GENERATED = '<!-- Made by tools/make_results.py'


def main(argv: list[str] | None = None) -> int:
    """Runs a study, lists what is missing, or writes the pages; returns the exit code."""
    args = _parse(argv)
    results = args.docs / 'results'
    try:
        studies = read_studies(results / 'studies')
        if args.run is not None:
            study = _named(args.run, studies)
            jobs = args.jobs or default_jobs(len(study.configs) * len(study.seeds))
            grid = Grid(args.work_dir / study.name, jobs, (), results / 'cells' / study.name)
            with interrupts():
                grid.run([str(ROOT / c) for c in study.configs], _seeds(args.seeds, study))
        found = [(s, load_entries(s, results / 'cells', _key)) for s in studies]
        if args.missing:
            _list_missing(found)
        else:
            write_pages(found, results, args.out or args.docs)
    except (RuntimeError, OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('\nInterrupted; the same command goes on.', file=sys.stderr)
        return 130
    return 0


def write_pages(found: list[tuple[Study, list[Entry]]], results: Path, docs: Path) -> None:
    """Writes pages and pictures to `results` and `images` of the folder `docs`, and the index.

    A page whose study has no stored run any more is removed.
    """
    (docs / 'results').mkdir(parents=True, exist_ok=True)
    (docs / 'images').mkdir(exist_ok=True)
    for study, entries in found:
        page = docs / 'results' / f'{study.name}.md'
        if not any(entry.cells for entry in entries):
            page.unlink(missing_ok=True)
            continue
        figure, picture = study_figure(study, entries), None
        if figure is not None:
            to_png(figure, docs / 'images' / f'{study.name}_curves.png')
            picture = f'../images/{study.name}_curves.png'
        _write(page, study_page(study, entries, picture))
    _write(docs / 'results' / 'README.md', index_page(found, _by_hand(results)))


def _by_hand(results: Path) -> dict[str, str]:
    """File name -> heading of the pages that this script does not write."""
    texts = {p.name: p.read_text(encoding='utf-8') for p in sorted(results.glob('*.md'))}
    titles = {name: text.partition('\n')[0].lstrip('# ') for name, text in texts.items()}
    return {n: t for n, t in titles.items() if GENERATED not in texts[n] and n != 'README.md'}


def _list_missing(found: list[tuple[Study, list[Entry]]]) -> None:
    for study, entries in found:
        lines = missing_runs(entries)
        print(f'{study.name}:' if lines else f'{study.name}: complete')
        for line in lines:
            print(f'  {line}')


def _named(name: str, studies: list[Study]) -> Study:
    for study in studies:
        if study.name == name:
            return study
    names = [study.name for study in studies]
    raise ValueError(f'Expected one of the studies {", ".join(names)}, but got `{name}`. '
                     f'{nearest(name, names)}')  # fmt: skip


def _seeds(given: list[int] | None, study: Study) -> list[int]:
    other = sorted(set(given or ()) - set(study.seeds))
    if other:
        raise ValueError(f'Expected seeds of {list(study.seeds)}, but got {other}')
    return list(given or study.seeds)


@cache
def _key(config: str) -> str:
    return key_of_file(ROOT / config)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding='utf-8')
    print(f'written: {path}')


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--run', metavar='STUDY', help='make its missing runs first')
    parser.add_argument('--missing', action='store_true', help='only list the runs not stored')
    parser.add_argument(
        '--seeds', nargs='+', type=int, help='of --run; default: those of the study'
    )
    parser.add_argument('--jobs', type=int, help='runs at once; default: one per core, 1 on a GPU')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/studies'))
    parser.add_argument('--docs', type=Path, default=ROOT / 'docs', help='holds results and images')
    parser.add_argument('--out', type=Path, help='write there in the place of --docs')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
