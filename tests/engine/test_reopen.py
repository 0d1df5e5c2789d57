"""A run is opened again in one way, and what is damaged or missing is named."""

import pytest
from test_learner import learner

from dense_al.engine import INITIAL, RunStore
from dense_al.engine.export import export
from dense_al.engine.reopen import answers_of, find_runs, is_run, open_run, units_of
from dense_al.registry import ConfigError


@pytest.fixture
def finished(tmp_path):
    learner(tmp_path / 'runs/a').run()
    return tmp_path / 'runs/a'


def test_a_finished_run_is_found_and_read(finished):
    assert is_run(finished) and not is_run(finished.parent)
    assert find_runs(finished.parent.parent) == [finished]
    store = open_run(finished)
    assert store.rounds() == [0, 1, 2, 3]
    assert len(answers_of(store)) == len(store.ledger(before=4).in_force()) > 0
    assert store.table(0, 'query').num_rows == len(store.query(0))
    assert store.table(3, 'query') is None and store.table(0, 'pseudo') is None


@pytest.mark.parametrize('opened', [open_run, lambda path: export(path, path / 'out', 'png')])
def test_what_is_no_run_names_those_nearby(finished, opened):
    with pytest.raises(FileNotFoundError, match='Expected the folder of a run') as error:
        opened(finished.parent / 'b')
    assert f'Runs nearby: {finished}.' in str(error.value)


def test_a_run_counts_from_its_first_file(tmp_path):
    assert not is_run(tmp_path)
    RunStore(tmp_path).commit(INITIAL, 'query', {})
    assert is_run(tmp_path)


def test_damaged_files_are_named(finished):
    store = RunStore(finished)
    (finished / 'rounds/000/query.json').write_text('{')
    with pytest.raises(ValueError, match='Expected JSON in .*000/query.json'):
        store.query(0)
    (finished / 'rounds/001/query.parquet').write_bytes(b'PAR1')
    with pytest.raises(ValueError, match='Expected a Parquet table in .*001/query.parquet'):
        store.query(1)
    (finished / 'environment.json').write_text('[]')
    with pytest.raises(ValueError, match='Expected an object in .*environment.json'):
        store.environment()


def test_units_that_were_not_recorded(finished):
    with pytest.raises(ConfigError, match='Expected `regions` and `cache_dir`'):
        units_of(RunStore(finished))
