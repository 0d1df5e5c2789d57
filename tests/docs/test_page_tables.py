"""Tables on the pages say what the code says."""

import re
from dataclasses import fields

import pytest
from page_reader import ROOT, read, rows

from dense_al.adapters.task import INITIAL, Rounds
from dense_al.analysis.curves import AXES
from dense_al.config import MASK_SANDBOX, SANDBOXES, WEAK_SANDBOX, read_config
from dense_al.engine.main import INTERRUPTED, MISTAKE, WAITING
from dense_al.pool import DEFAULT_PRICES, Price
from dense_al.registry import ACQUISITIONS, SAMPLERS, SCORES
from dense_al.sandbox.worlds import WORLDS
from dense_al.structures.budget import BUDGET_UNITS

DOCS = ROOT / 'docs'
WORLD_CONFIGS = ROOT / 'configs/_base_/sandbox'


def words(text):
    """What stands between ticks in a cell whose outer ticks are off."""
    return re.findall(r'[\w-]+', re.sub(r'\([^)]*\)', '', text))


def test_prices_are_the_default_ones():
    table = {row[0]: [float(cell) for cell in row[1:]] for row in rows(DOCS / 'budgets.md', 'kind')}
    assert set(table) == set(DEFAULT_PRICES)
    order = ('whole_clicks', 'whole_seconds', 'fixed_clicks', 'fixed_seconds', 'object_clicks',
             'object_seconds')  # fmt: skip
    assert set(order) == {field.name for field in fields(Price)}
    for kind, given in table.items():
        expected = [getattr(DEFAULT_PRICES[kind], name) for name in order]
        assert given == pytest.approx(expected, abs=0.05), kind


def test_units_of_budgets_are_all_there():
    listed = {word for row in rows(DOCS / 'budgets.md', '`unit`') for word in words(row[0])}
    assert listed == set(BUDGET_UNITS)


def test_axes_of_curves_are_all_there():
    assert {row[0] for row in rows(DOCS / 'budgets.md', '`--axis`')} == set(AXES)


def test_exit_codes():
    codes = {int(row[0]) for row in rows(DOCS / 'clusters.md', 'exit code')}
    assert codes == {0, MISTAKE, WAITING, INTERRUPTED}


def test_keys_of_rounds_are_all_there():
    table = rows(DOCS / 'quickstart.md', 'key')
    listed = {word for row in table for word in words(row[0])} - {'or'}
    assert listed == {field.name for field in fields(Rounds)}
    initial = next(row[1] for row in table if row[0] == 'initial')
    assert set(INITIAL) <= set(words(initial))


def worlds():
    return rows(DOCS / 'sandbox.md', 'config')


def test_worlds_hold_what_the_table_says():
    for path, world, root, n_train, n_val, *_ in worlds():
        given = read_config(WORLD_CONFIGS / path)['sandbox']
        spec = WORLDS[world][0](**given['spec'])
        counts = [
            spec.count(s) * (spec.length(s) if world == 'town' else 1) for s in ('train', 'val')
        ]
        assert (given['world'], given['root'], counts) == (world, root, [int(n_train), int(n_val)])


def test_every_world_of_the_sandbox_option_is_in_the_table():
    listed = {row[0] for row in worlds()}
    paths = (*SANDBOXES.values(), WEAK_SANDBOX, MASK_SANDBOX)
    assert {path.rsplit('/', 1)[1] for path in paths} <= listed


def test_data_sets_of_the_configs_are_all_there(monkeypatch):
    monkeypatch.setenv('DENSE_AL_REAL_DATA', 'data')
    named: dict[str, set] = {}
    for path in sorted((ROOT / 'configs').glob('[!_]*/*.py')):
        if path.parent.name != 'sandbox':
            for folder in re.findall(r"'data/([\w-]+)", str(read_config(path))):
                named.setdefault(folder, set()).add(path.parent.name)
    generated = {folder for folder in named if folder.startswith('glyphs')}
    listed = {row[0]: set(words(row[2])) for row in rows(ROOT / 'data/README.md', 'folder')}
    assert listed == {f: names for f, names in named.items() if f not in generated}


def test_shares_of_ceilings_in_the_readme_are_those_measured():
    text = read(ROOT / 'README.md')
    said = re.findall(r'(\w+)\'s\s\d+ % .*?\((\d+(?:\.\d)?) %', text, re.S)
    assert [name for name, _ in said] == ['LiDAL', 'D2ADA', 'BiB']
    table = read(DOCS / 'results/README.md')
    for name, share in said:
        assert re.search(rf'\b{name} (\*\*not reached\*\*|\*\*reached\*\*), {share} %', table), name


def test_the_interval_below_the_picture_of_the_readme_is_the_one_measured():
    text = read(ROOT / 'README.md')
    said = re.search(r"is (\S+) points above random's, 95 % interval \[(\S+), (\S+)\]", text)
    row = re.search(r'\| k-center \| 8 \|.*', read(DOCS / 'results/streets.md')).group()
    measured = re.search(r'\+(\S+) \[\+(\S+), \+(\S+)\]', row)
    assert [float(x) for x in said.groups()] == [round(float(x), 1) for x in measured.groups()]


def test_fields_of_the_specs_are_all_there():
    for world, listed in rows(DOCS / 'sandbox.md', 'spec'):
        assert set(words(listed)) == {field.name for field in fields(WORLDS[world][0])}, world


@pytest.mark.parametrize('registry', [ACQUISITIONS, SCORES, SAMPLERS], ids=lambda r: r.kind)
def test_every_method_has_its_place(registry):
    text = read(DOCS / 'methods.md')
    assert not [name for name in registry.names if f'`{name}`' not in text]


def test_papers_are_in_the_bibliography():
    keys = set(re.findall(r'^@\w+\{(\w+),', read(DOCS / 'references.bib'), re.M))
    cited = set(re.findall(r'(?<![\w`])\[([a-z]+\d{4}\w+)\](?!\()', read(DOCS / 'methods.md')))
    assert len(cited) > 25 and cited <= keys


@pytest.mark.parametrize('folder', ['apis', 'bib', 'd2ada', 'lidal'])
def test_published_configs_have_their_place(folder):
    text = read(DOCS / 'methods.md')
    methods = {p.stem.split('_', 1)[1] for p in (ROOT / f'configs/{folder}').glob('*.py')}
    # Floors and ceilings are no methods.
    missing = [m for m in methods - {'boxes', 'full'} if f'_{m}.py' not in text]
    assert not missing
