"""al_select, al_export, al_compare, and configs of installed packages."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dense_al.config import load_config
from dense_al.engine import RunStore
from dense_al.engine.main import MISTAKE, main
from dense_al.registry import SCORES, ConfigError

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
sys.path.insert(0, str(TOOLS))
STOCK = """
_base_ = ['mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py']
acquisition = dict(type='Composed', unit=dict(type='Superpixels', n_segments=16), score='Entropy')
oracle = dict(type='GroundTruth')
budget = dict(per_round=500, unit='units')
rounds = dict(count=2, iterations=8000)
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory, world):
    """A config and its run, one round trained and one query answered."""
    from conftest import CONFIGS, SMALL

    folder = tmp_path_factory.mktemp('trained')
    config = folder / 'small.py'
    config.write_text(SMALL.format(base=CONFIGS / 'sandbox/streets_entropy.py', root=world))
    options = ['--cfg-options', 'rounds.count=2', 'rounds.iterations=2']
    assert main([str(config), '--work-dir', str(folder / 'run'), *options]) == 0
    return str(config), folder / 'run'


def test_select_asks_for_the_next_units_of_a_users_model(trained, tmp_path, monkeypatch):
    import al_select

    config, work_dir = trained
    monkeypatch.chdir(tmp_path)
    labelled = tmp_path / 'labelled.txt'
    labelled.write_text('train0000/train0000_000000_leftImg8bit.png\n')
    checkpoint = str(work_dir / 'rounds/000/checkpoint.pth')
    out = tmp_path / 'next.csv'
    command = [config, checkpoint, '--n', '7', '--out', str(out), '--labelled', str(labelled)]
    assert al_select.main(command) == 0
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 7
    assert not any('train0000_000000' in row['name'] for row in rows)
    scores = [float(row['score']) for row in rows]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0


def test_select_names_what_is_not_there(trained, tmp_path, monkeypatch, capsys):
    import al_select

    config, work_dir = trained
    monkeypatch.chdir(tmp_path)
    base = ['--n', '7', '--out', str(tmp_path / 'next.csv')]
    assert al_select.main([config, str(tmp_path / 'none.pth'), *base]) == MISTAKE
    assert 'none.pth does not exist' in capsys.readouterr().err
    checkpoint = str(work_dir / 'rounds/000/checkpoint.pth')
    (tmp_path / 'l.txt').write_text('train0000/train0000_00000_leftImg8bit.png')
    assert al_select.main([config, checkpoint, *base, '--labelled', str(tmp_path / 'l.txt')]) == 2
    assert 'or `train0000/train0000_000000' in capsys.readouterr().err


def test_export_writes_masks_that_equal_the_answers(trained, tmp_path, world):
    import al_export

    _, work_dir = trained
    out = tmp_path / 'out'
    assert al_export.main([str(work_dir), '--out', str(out)]) == 0
    ledger = RunStore(work_dir).ledger(before=2)
    labels = sorted((out / 'labels').rglob('*.png'))
    counted = 0
    for path in labels:
        label = np.asarray(Image.open(path))
        name = path.relative_to(out / 'labels')
        truth = world / 'gtFine/train' / str(name).replace('leftImg8bit', 'gtFine_labelTrainIds')
        known = label != 255
        counted += known.sum()
        np.testing.assert_array_equal(label[known], np.asarray(Image.open(truth))[known])
        assert (out / 'images' / name).is_file()
    unclear = sum((np.frombuffer(_payload(a), np.uint8) == 255).sum() for a in ledger.in_force())
    assert counted == ledger.totals().elements - unclear
    assert (out / 'classes.txt').read_text().split('\n')[0] == 'road'
    assert al_export.main([str(work_dir), '--out', str(out)]) == 2


def _payload(answer):
    import zlib

    return zlib.decompress(answer.payload) if answer.payload else b''


def test_a_users_checkpoint_is_evaluated_and_not_trained(trained, tmp_path, world):
    config, work_dir = trained
    given = str(work_dir / 'rounds/001/checkpoint.pth')
    labelled = tmp_path / 'labelled.txt'
    labelled.write_text('train0000/train0000_000000_leftImg8bit.png\n')
    more = f"""
rounds = dict(count=2, iterations=2, initial=dict(labelled='{labelled}', checkpoint='{given}'))
"""
    path = tmp_path / 'given.py'
    path.write_text(Path(config).read_text() + more)
    assert main([str(path), '--work-dir', str(tmp_path / 'run')]) == 0
    there, here = RunStore(work_dir), RunStore(tmp_path / 'run')
    assert here.read(0, 'train')['value'] == there.read(1, 'train')['value']
    assert here.read(0, 'train')['labelled']['elements'] == 48 * 96
    assert here.read(1, 'train')['labelled']['units'] > 1


def test_compare_shares_starts_and_extends_by_seeds(small_config, tmp_path, capfd):
    import al_compare

    configs = [small_config('random'), small_config('entropy')]
    rest = ['--jobs', '2', '--cells', str(tmp_path / 'cells')]
    rest += ['--cfg-options', 'rounds.count=2', 'rounds.iterations=2']
    base = [*configs, '--work-dir', str(tmp_path / 'grid'), *rest]
    assert al_compare.main([*base, '--seeds', '0', '1']) == 0
    captured = capfd.readouterr()
    assert 'baseline' in captured.out and 'over 2 seeds' in captured.out
    assert captured.err.count('are those of') == 2
    table = tmp_path / 'grid/table.csv'
    assert len(table.read_text().splitlines()) == 3
    assert (tmp_path / 'grid/curves.png').stat().st_size > 5000
    assert (tmp_path / 'grid/report.html').read_text().startswith('<!doctype html>')
    stamp = (tmp_path / 'grid/small_random/seed_0/rounds/001/train.json').stat().st_mtime_ns
    assert al_compare.main([*base, '--seeds', '0', '--against', str(table)]) == 0
    assert 'rank correlation' in capfd.readouterr().out
    again = (tmp_path / 'grid/small_random/seed_0/rounds/001/train.json').stat().st_mtime_ns
    assert again == stamp
    other = tmp_path / 'other'
    assert al_compare.main([*configs, '--work-dir', str(other), *rest, '--seeds', '0', '1']) == 0
    assert 'report.html' not in capfd.readouterr().out  # pictures are of runs, and none is there
    assert sorted(f.name for f in other.iterdir()) == ['curves.png', 'table.csv']


def test_compare_names_a_config_that_is_not_there(capsys):
    import al_compare

    assert al_compare.main(['nowhere.py']) == 2
    assert 'nowhere.py does not exist' in capsys.readouterr().err


def test_a_stock_config_and_ten_lines(tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'mine.py'
    path.write_text(STOCK)
    cfg = load_config(path)
    assert cfg.model.decode_head.type == 'PSPHead' and cfg.train_cfg.max_iters == 40000
    assert main([str(path), '--dry-run', '--sandbox']) == 0
    out = capsys.readouterr().out
    assert 'samples   150' in out and '2 percent per round' in out
    assert main([str(path), '--dry-run']) == MISTAKE
    assert 'data/cityscapes' in caplog.text


def test_an_unknown_stock_config_names_the_nearest(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(STOCK.replace('40k_cityscapes', '41k_cityscapes'))
    with pytest.raises(ConfigError, match='Did you mean `pspnet/pspnet_r50-d8_4xb2-40k_cityscapes'):
        load_config(path)
    path.write_text(STOCK.replace('mmseg::', 'mmzeg::'))
    with pytest.raises(ConfigError, match='mmzeg'):
        load_config(path)


@pytest.mark.parametrize('name', ['acquisition', 'oracle', 'budget', 'rounds'])
def test_the_four_dicts_are_needed(tmp_path, name):
    path = tmp_path / 'mine.py'
    path.write_text(STOCK.replace(f'{name} =', f'{name}s ='))
    with pytest.raises(ConfigError, match=f'Unknown dict `{name}s`. Did you mean `{name}`'):
        load_config(path)


def test_the_method_of_the_readme_runs(small_config, tmp_path, monkeypatch):
    readme = (TOOLS.parent / 'README.md').read_text()
    blocks = [b.split('```')[0] for b in readme.split('```python\n')[1:]]
    method = next(b for b in blocks if b.startswith('# my_method.py'))
    used = next(b for b in blocks if b.startswith('custom_imports'))
    (tmp_path / 'my_method.py').write_text(method)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(SCORES, '_classes', dict(SCORES._classes))  # gone afterwards
    monkeypatch.delitem(sys.modules, 'my_method', raising=False)
    path = small_config(
        more=used.replace('acquisition = dict(', 'acquisition = dict(_delete_=True, ')
    )
    options = ['--cfg-options', 'rounds.count=2', 'rounds.iterations=2']
    assert main([path, '--work-dir', str(tmp_path / 'run'), *options]) == 0
    scores = RunStore(tmp_path / 'run').query(0).score
    assert (scores <= 1).all() and (scores > 0).all()
    sys.modules.pop('my_method')
