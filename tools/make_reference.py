"""Writes docs/reference.md: every name that the four dicts take, with its settings.

`make_reference.py [--out FILE]`; the texts are the docstrings of the classes.
"""

import argparse
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import dense_al.acquisition
import dense_al.oracles
import dense_al.regions  # noqa: F401  (each registers its classes)
from dense_al.adapters.task import Rounds
from dense_al.registry import (
    ACQUISITIONS,
    AGGREGATES,
    ORACLES,
    SAMPLERS,
    SCORES,
    UNITS,
    Registry,
)
from dense_al.structures import Budget

OUT = Path(__file__).resolve().parents[1] / 'docs' / 'reference.md'
HEAD = """# Reference

<!-- Made by tools/make_reference.py from the docstrings; run it again after changing one. -->

Every name that the four dicts take, and its settings with their defaults. A name may stand alone,
as in `score='Entropy'`, where no setting is given.
"""
PARTS: tuple[tuple[str, Registry], ...] = (
    ('acquisition', ACQUISITIONS),
    ('acquisition.unit', UNITS),
    ('acquisition.score', SCORES),
    ('acquisition.aggregate', AGGREGATES),
    ('acquisition.sampler', SAMPLERS),
    ('oracle', ORACLES),
)
SECTION = re.compile(r'^(Args|Attributes|Raises|References|Returns):$')
ENTRY = re.compile(r'^(\w+(?:, \w+)*): (.*)$')


def main(argv: list[str] | None = None) -> int:
    """Writes the page; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=OUT)
    args = parser.parse_args(argv)
    args.out.write_text(page(), encoding='utf-8')
    print(f'written: {args.out}')
    return 0


def page() -> str:
    """The page as markdown."""
    parts = [HEAD]
    for field, registry in PARTS:
        parts.append(f'\n## `{field}`\n')
        classes = [registry.get(name, field) for name in sorted(registry.names)]
        parts += [entry(cls) for cls in classes if cls.__module__.startswith('dense_al.')]
    for field, cls in (('budget', Budget), ('rounds', Rounds)):
        parts.append(f'\n## `{field}`\n{settings(cls)}')
    return ''.join(parts)


def entry(cls: Any) -> str:
    """A class: its name, what it does, its settings."""
    return f'\n### {cls.__name__}\n\n{"".join(_said(cls))}{settings(cls)}'


def settings(cls: Any) -> str:
    """The settings of a class as a table, empty if it has none."""
    parameters = inspect.signature(cls).parameters
    if not parameters:
        return ''
    texts = _described(cls)
    rows = [
        f'| `{name}` | {_default(p.default)} | {texts.get(name, "")} |'
        for name, p in parameters.items()
    ]
    return '\n'.join(['', '| setting | default | |', '|---|---|---|', *rows, ''])


def _said(cls: Any) -> list[str]:
    """The paragraphs of a docstring before its sections."""
    lines = (inspect.getdoc(cls) or '').split('\n')
    end = next((i for i, line in enumerate(lines) if SECTION.match(line)), len(lines))
    return ['\n'.join(lines[:end]).rstrip().replace('``', '`'), '\n']


def _described(cls: Any) -> dict[str, str]:
    """Setting -> what the docstrings of a class and of its parents say of it."""
    found: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        text = '\n' + inspect.cleandoc(parent.__doc__ or '')
        for section in re.findall(r'\n(?:Args|Attributes):\n((?:    .*\n?|\n)+)', text):
            for item in re.split(r'\n(?=    \w)', section.rstrip()):
                match = ENTRY.match(' '.join(item.split()))
                for name in match[1].split(', ') if match else ():
                    found[name] = match[2].replace('``', '`').replace('|', '\\|') if match else ''
    return found


def _default(value: Any) -> str:
    return 'needed' if value is inspect.Parameter.empty else f'`{value!r}`'


if __name__ == '__main__':
    sys.exit(main())
