"""Pages of results made from stored runs, and those of this repository."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools'))
import make_results  # noqa: E402
from study_layouts import store, store_all, write_study  # noqa: E402

from dense_al.analysis import compare  # noqa: E402


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """Documents of a study whose configs are of the key `current`."""
    write_study(tmp_path / 'docs/results/studies')
    (tmp_path / 'docs/results/earlier.md').write_text('# Measured earlier\n\nA table.\n')
    monkeypatch.setattr(make_results, '_key', lambda config: 'current')
    return tmp_path / 'docs'


def texts(folder):
    return {path.name: path.read_text() for path in folder.glob('results/*.md')}


def test_pages_are_up_to_date(tmp_path):
    assert make_results.main(['--out', str(tmp_path)]) == 0
    made, there = texts(tmp_path), texts(ROOT / 'docs')
    generated = {n: t for n, t in there.items() if make_results.GENERATED in t}
    assert made == generated, 'run tools/make_results.py'
    pictures = {p.name for p in (tmp_path / 'images').iterdir()}
    assert pictures <= {p.name for p in (ROOT / 'docs/images').iterdir()}


def test_every_config_of_a_study_exists():
    studies = make_results.read_studies(ROOT / 'docs/results/studies')
    assert len(studies) >= 8
    for study in studies:
        assert [c for c in study.configs if not (ROOT / c).is_file()] == [], study.name


def test_a_study_without_runs_has_no_page(docs, capsys):
    assert make_results.main(['--docs', str(docs)]) == 0
    assert set(texts(docs)) == {'README.md', 'earlier.md'}
    assert '[Measured earlier](earlier.md)' in texts(docs)['README.md']
    store_all(docs / 'results/cells', [0])
    assert make_results.main(['--docs', str(docs)]) == 0
    assert set(texts(docs)) == {'README.md', 'earlier.md', 'made_up.md'}
    assert (docs / 'images/made_up_curves.png').is_file()
    assert '[Made-up streets](made_up.md)' in texts(docs)['README.md']
    store_all(docs / 'results/cells', [0], key='before')
    assert make_results.main(['--docs', str(docs)]) == 0
    assert set(texts(docs)) == {'README.md', 'earlier.md'}


def test_missing_runs_are_listed_and_nothing_is_written(docs, capsys):
    store(docs / 'results/cells', 'random', 1, [40, 50])
    assert make_results.main(['--docs', str(docs), '--missing']) == 0
    out = capsys.readouterr().out
    assert 'random (random): seeds 0, 2' in out and 'entropy (entropy): seeds 0, 1, 2' in out
    assert not (docs / 'results/README.md').exists()
    store_all(docs / 'results/cells')
    make_results.main(['--docs', str(docs), '--missing'])
    assert 'made_up: complete' in capsys.readouterr().out


def test_run_makes_what_is_missing_and_its_page(docs, tmp_path, monkeypatch):
    store_all(docs / 'results/cells', [0, 1])
    ran = []

    def run(grid, configs, seeds):
        ran.append(([Path(c).stem for c in configs], list(seeds), grid.cells, grid.options))
        store_all(grid.cells.parent, seeds)

    monkeypatch.setattr(compare.Grid, 'run', run)
    command = ['--docs', str(docs), '--run', 'made_up', '--work-dir', str(tmp_path / 'runs')]
    assert make_results.main([*command, '--jobs', '1']) == 0
    parts = ['random', 'entropy', 'floor', 'full']
    assert ran == [(parts, [0, 1, 2], docs / 'results/cells/made_up', ())]
    assert '12 of 12 runs' in texts(docs)['made_up.md']
    assert make_results.main([*command, '--seeds', '2']) == 0 and ran[1][1] == [2]


@pytest.mark.parametrize(
    'options, message',
    [(['--run', 'mad_up'], 'made_up'), (['--run', 'made_up', '--seeds', '7'], '7')],
)
def test_mistakes_are_told(docs, capsys, options, message):
    assert make_results.main(['--docs', str(docs), *options]) == 2
    assert message in capsys.readouterr().err


def test_descriptions_are_the_only_source_of_a_page(docs):
    store_all(docs / 'results/cells')
    make_results.main(['--docs', str(docs)])
    before = texts(docs)
    path = next((docs / 'results/cells').rglob('seed_0.json'))
    content = json.loads(path.read_text())
    content['rounds'][-1]['value'] += 1
    path.write_text(json.dumps(content))
    make_results.main(['--docs', str(docs)])
    after = texts(docs)
    assert (
        after['made_up.md'] != before['made_up.md'] and after['earlier.md'] == before['earlier.md']
    )
