"""Imports go one way, and light parts stay light."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'dense_al'
# A part may import from its own layer's other parts' lower layers and from itself.
LAYERS = [
    {'registry', 'ops', 'progress', 'groups', 'files', 'interrupts', 'machine'},
    {'structures'},
    {'config'},
    {'pool', 'regions', 'proposals', 'acquisition', 'datasets', 'models', 'sandbox'},
    {'oracles', 'adapters'},
    {'engine'},
    {'analysis'},
]
# Inside a layer: what an acquisition selects from, and what a data set shows, are the pool's;
# proposals read images and share out work as regions do, and a generated world has proposals.
ALLOWED = {
    ('acquisition', 'pool'),
    ('datasets', 'pool'),
    ('proposals', 'regions'),
    ('sandbox', 'proposals'),
}
FILES = sorted(PACKAGE.rglob('*.py'))


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def layer_of(part):
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def imported(path):
    """Parts of the package a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == 'dense_al':
                names = [f'dense_al.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith('dense_al.'):
                yield name.split('.')[1]


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_arrow_back(path):
    part = part_of(path)
    if part in ('__init__', 'testing'):
        return
    for other in imported(path):
        assert other != 'testing', 'only tests import testing'
        if other == part or (part, other) in ALLOWED:
            continue
        assert layer_of(other) < layer_of(part), f'{part} imports {other}'


def test_every_part_has_a_layer():
    parts = {part_of(path) for path in FILES} - {'__init__', 'testing'}
    assert parts <= set().union(*LAYERS)


def test_the_reader_of_imports_reads():
    assert set(imported(PACKAGE / 'engine/learner.py')) >= {'acquisition', 'pool', 'oracles'}
