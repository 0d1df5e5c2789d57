"""Every acquisition on every task and unit works or is refused; every shipped config works."""

import os
from pathlib import Path

import pytest
from tiny import CONFIGS, shipped, tiny_config, write_data

from dense_al.config import load_config
from dense_al.registry import ACQUISITIONS, UNITS
from dense_al.testing import matrix
from dense_al.testing.fuzz import HOUSE, MISTAKE, dry_run
from dense_al.testing.mutations import write_config

pytest.importorskip('mmdet')
PAGE = Path(__file__).resolve().parents[1] / 'docs/results/matrix.md'
# Tags are asked as initial labels, in all cells of the task of tags.
ELSEWHERE = {'ImageTags'}
NAMES = [row.name for row in matrix.ROWS]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """The working folder meanwhile."""
    pytest.importorskip('open3d')
    folder, before = tmp_path_factory.mktemp('matrix'), os.getcwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def ended(place, cfg):
    """Exit code and message of a dry run."""
    path = write_config(cfg, place / 'config.py')
    return dry_run(cfg, path, place / 'work_dirs' / 'run')


@pytest.mark.parametrize('name', NAMES)
def test_cells_work_or_are_refused(place, name):
    wrong = []
    for row, unit, task, works in matrix.cells():
        if row.name != name:
            continue
        code, said = ended(place, matrix.config_of(row, unit, tiny_config(matrix.TASKS[task])))
        refused = code == MISTAKE and said.split(': ', 1)[-1].startswith(HOUSE)
        if (code == 0) != works or not (works or refused):
            wrong.append(f'{unit} of {task}: expected to work: {works}, but got {code} {said}')
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('name', shipped())
def test_shipped_configs_dry_run(place, name):
    write_data(place, name)
    code, said = ended(place, tiny_config(name))
    assert code == 0, said


def test_no_shipped_config_is_left_out():
    found = {str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob('*.py')}
    fragments = {name for name in found if name.startswith('_base_/')}
    assert found - fragments == set(shipped()) and len(fragments) > 40
    for name in shipped():
        assert load_config(CONFIGS / name)['acquisition']['type'] in ACQUISITIONS.names


def test_everything_registered_is_in_the_matrix():
    types = {row.config['type'] for row in matrix.ROWS}
    assert types | ELSEWHERE == set(ACQUISITIONS.names)
    assert {config['type'] for config in matrix.UNITS.values()} == set(UNITS.names)
    assert len(set(NAMES)) == len(NAMES)


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding='utf-8') == matrix.page()
