"""The table of tried stock configs: reading it, and what it says in short."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import stock_reasons as why

FIELDS = (
    'package', 'family', 'config', 'reason', 'detail', 'acquisition', 'forward', 'parameters',
    'seconds',
)  # fmt: skip
Rows = Sequence[dict[str, Any]]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a csv file, none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def summary(rows: Rows, shipped: dict[str, int], command: str) -> str:
    """Counts by reason and by family, in Markdown.

    Args:
        rows: Rows of the table, with the keys `FIELDS`.
        shipped: Package -> configs that it ships.
        command: What made the table.
    """
    packages = sorted({row['package'] for row in rows})
    tried = ', '.join(
        f'{sum(r["package"] == p for r in rows)} of {shipped[p]} configs of {p}' for p in packages
    )
    return '\n'.join(
        [
            '# Stock configs' + ', beyond the dry run' * ('--forward' in command),
            '',
            f'`{command}`: dry runs of the configs that the installed packages ship, with the four',
            'dicts added and their data sets replaced by tiny ones; models have weights of no',
            f'meaning. Tried: {tried}; the first of every family come first.',
            '',
            *_counts(rows, packages),
            '',
            *(line for p in packages for line in _shares(_of(rows, p), p)),
            '',
            '`regions`, `images` and `boxes` read class probabilities. `random` does not: the head',
            'has no class vector that can be read, so that the fallback `Random` was taken.',
            '',
            *_details(rows),
            '## Families',
            '',
            *_families(rows),
        ]
    )


def _of(rows: Rows, package: str) -> list[dict[str, Any]]:
    return [row for row in rows if row['package'] == package]


def _counts(rows: Rows, packages: Sequence[str]) -> Iterator[str]:
    """Reason by package."""
    yield '| | ' + ' | '.join(packages) + ' |'
    yield '|---' * (1 + len(packages)) + '|'
    for reason in why.REASONS:
        counts = [sum(r['reason'] == reason for r in _of(rows, p)) for p in packages]
        if any(counts):
            yield f'| {reason} | ' + ' | '.join(map(str, counts)) + ' |'


def _shares(rows: Rows, package: str) -> Iterator[str]:
    """How many pass of those that can be built, and with which acquisition."""
    ours = [row for row in rows if row['reason'] in why.OURS]
    passed = [row for row in ours if row['reason'] == why.PASSES]
    used = Counter(row['acquisition'] for row in passed)
    kinds = ', '.join(f'`{kind}` {n}' for kind, n in used.most_common())
    share = 100 * len(passed) / max(len(ours), 1)
    yield (
        f'- {package}: {len(passed)} of {len(ours)} that are a task of ours and that the framework '
        f'builds here pass ({share:.1f} %): {kinds}.'
    )
    ran = [row for row in rows if row['forward']]
    if ran:
        works = sum(row['forward'] == 'works' for row in ran)
        yield (
            f'- {package}: {works} of {len(ran)} also ask, load a batch, build a round and compute '
            'losses (nothing is trained); those that read probabilities observe an image.'
        )


def _details(rows: Rows) -> Iterator[str]:
    """What is behind each reason, the most frequent first."""
    for reason in why.REASONS:
        found = Counter(
            (row['package'], why.short(row['detail'])) for row in rows if row['reason'] == reason
        )
        if not found or reason == why.PASSES:
            continue
        yield f'## {reason.capitalize()}'
        yield ''
        for (package, detail), n in found.most_common(12):
            yield f'- {package}, {n}: {detail}'
        yield ''


def _families(rows: Rows) -> Iterator[str]:
    """Family by reason."""
    yield '| package | family | tried | passes | class probabilities | forward | else |'
    yield '|---|---|---|---|---|---|---|'
    for package, family in sorted({(row['package'], row['family']) for row in rows}):
        own = [row for row in _of(rows, package) if row['family'] == family]
        passed = [row for row in own if row['reason'] == why.PASSES]
        read = sum(row['acquisition'] != 'random' for row in passed)
        ran = next((row['forward'] for row in own if row['forward']), '')
        rest = Counter(row['reason'] for row in own if row['reason'] != why.PASSES)
        others = ', '.join(f'{reason} {n}' for reason, n in rest.most_common())
        yield (
            f'| {package} | {family} | {len(own)} | {len(passed)} | {read} | '
            f'{why.short(ran, 120)} | {others} |'
        )
