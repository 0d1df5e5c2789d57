"""The table of tried stock configs: reading it, and what it says in short."""

import csv
from pathlib import Path
from typing import Any

import stock_reasons as why

FIELDS = (
    'package', 'family', 'config', 'reason', 'detail', 'acquisition', 'forward', 'parameters',
    'seconds',
)  # fmt: skip


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a csv file, none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def summary(rows: list[dict[str, Any]]) -> str:
    """Counts by reason and by family, in Markdown."""
    packages = sorted({row['package'] for row in rows})
    parts = ['| reason | ' + ' | '.join(packages) + ' |', '|---|' + '---|' * len(packages)]
    for reason in why.REASONS:
        counts = [sum(r['package'] == p and r['reason'] == reason for r in rows) for p in packages]
        parts.append(f'| {reason} | ' + ' | '.join(map(str, counts)) + ' |')
    return '\n'.join(parts)
