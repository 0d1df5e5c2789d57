"""Single pixels and one class per region through the command line, in a tiny street world."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS
from PIL import Image

from dense_al.analysis import load_run, region_maps_of, round_panels
from dense_al.engine import INITIAL, RunStore
from dense_al.engine.export import export
from dense_al.engine.main import MISTAKE, main
from dense_al.structures import Manifest

FOUR = 'acquisition = dict(per_image=4)\n'


def run(config, work_dir, *more):
    return main([config, '--work-dir', str(work_dir), *more])


def label_file(path, world, root):
    """Where the true label of an image lies."""
    path = Path(path.replace(str(world), str(root)).replace('leftImg8bit', 'gtFine', 1))
    return path.with_name(path.name.replace('leftImg8bit', 'gtFine_labelTrainIds'))


def asked_pixels(work_dir):
    """Sample -> (n,) int64 pixels asked in all rounds."""
    queries = [RunStore(work_dir).query(r) for r in (INITIAL, 0, 1)]
    sample = np.concatenate([query.sample for query in queries])
    unit = np.concatenate([query.unit for query in queries])
    return {int(s): unit[sample == s] for s in np.unique(sample)}


@pytest.fixture(scope='module')
def finished(tmp_path_factory, world):
    """A finished run of RIPU's pixels, and its config."""
    from conftest import SMALL

    folder = tmp_path_factory.mktemp('pixels')
    config = folder / 'small.py'
    base = CONFIGS / 'sandbox/streets_ripu_pixels.py'
    config.write_text(SMALL.format(base=base, root=world) + FOUR)
    assert run(str(config), folder / 'run') == 0
    return folder / 'run'


def test_each_image_is_asked_for_its_pixels_and_billed(finished):
    store = RunStore(finished)
    assert {len(np.unique(pixels)) for pixels in asked_pixels(finished).values()} == {12}
    train = store.read(2, 'train')['labelled']
    assert (train['units'], train['clicks'], train['seconds']) == (96, 96, 96)
    answers = [a for r in (INITIAL, 0, 1) for a in store.answers(r)]
    assert train['elements'] == sum(a.status == 'answered' for a in answers) > 80
    assert {(a.kind, a.instance) for a in answers} == {('point', -1)}


def test_ground_truth_outside_the_asked_pixels_changes_nothing(
    finished, small_config, world, tmp_path
):
    """The poison test: the labels of all other pixels are overwritten with garbage."""
    root = tmp_path / 'world'
    shutil.copytree(world, root)
    rng = np.random.default_rng(0)
    manifest, asked = Manifest.load(finished / 'manifest.parquet'), asked_pixels(finished)
    for sample, path in enumerate(manifest.paths):
        file = label_file(path, world, root)
        label = np.asarray(Image.open(file))
        garbage = rng.integers(0, 12, label.shape).astype(np.uint8)
        garbage.ravel()[asked[sample]] = label.ravel()[asked[sample]]
        assert (garbage != label).mean() > 0.5
        Image.fromarray(garbage).save(file)
    # A world that was written over would be drawn anew.
    config = small_config('ripu_pixels', root, FOUR + 'sandbox = None\n')
    assert run(config, tmp_path / 'run') == 0
    clean, poisoned = RunStore(finished), RunStore(tmp_path / 'run')
    for r in (INITIAL, 0, 1):
        assert clean.query(r).table() == poisoned.query(r).table()
        assert clean.answers(r) == poisoned.answers(r)
    for r in range(3):
        one, other = (
            torch.load(store.checkpoint(r), weights_only=False)['state_dict']
            for store in (clean, poisoned)
        )
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_exported_labels_are_those_of_the_pixels_asked(finished, world, tmp_path):
    assert export(finished, tmp_path / 'out') == 8
    manifest, asked = Manifest.load(finished / 'manifest.parquet'), asked_pixels(finished)
    for sample, path in enumerate(manifest.paths):
        file = (tmp_path / 'out/labels' / manifest.names[sample]).with_suffix('.png')
        found = np.asarray(Image.open(file)).ravel()
        truth = np.asarray(Image.open(label_file(path, world, world))).ravel()
        assert (found[asked[sample]] == truth[asked[sample]]).all()
        assert np.isin(np.flatnonzero(found != 255), asked[sample]).all()


def test_pictures_show_the_pixels_in_their_colours(finished):
    loaded = load_run(finished)
    panel = round_panels(loaded, 1, region_maps_of(finished))[0]
    assert list(panel.pictures) == ['asked', 'answered'] and not panel.note
    assert panel.units == 4
    assert (panel.pictures['asked'] != panel.pictures['answered']).any()


def test_dry_run_knows_how_many_pixels_there_will_be(small_config, tmp_path, capsys):
    options = ['--dry-run', '--cfg-options', 'budget.per_round=100']
    assert run(small_config('pixelpick', more=FOUR), tmp_path / 'run', *options) == 0
    out = capsys.readouterr().out
    assert 'units     36,864 pixels, at most 4 of a sample in one round' in out
    # Four pixels of eight images, three times.
    assert 'asking for about 0.26 % of the pool' in out
    assert 'about 96 s (0.0 h) and 96 clicks' in out and 'needs     probs' in out
    options[-1] = 'budget.per_round=0.01'
    assert run(small_config('pixelpick', more=FOUR), tmp_path / 'run', *options) == 0
    assert 'about 11 s (0.0 h) and 11 clicks' in capsys.readouterr().out


def test_whole_images_may_be_the_initial_labels(small_config, tmp_path):
    more = """
acquisition = dict(per_image=4)
budget = dict(per_round=10, unit='units')
rounds = dict(count=2, iterations=2, initial=dict(
    acquisition=dict(type='Composed', unit=dict(type='Image'), score='Random'),
    budget=dict(per_round=2, unit='units')))
"""
    assert run(small_config('pixelpick', more=more), tmp_path / 'run') == 0
    store = RunStore(tmp_path / 'run')
    assert store.query(INITIAL).kind == 'image' and store.query(0).kind == 'point'
    assert not set(store.query(INITIAL).sample) & set(store.query(0).sample)
    assert len(store.query(0)) == 10


def test_one_class_per_region_for_one_click(small_config, world, tmp_path, capsys):
    work_dir = tmp_path / 'run'
    assert run(small_config('dominant'), work_dir, '--dry-run') == 0
    plan = capsys.readouterr().out
    assert run(small_config('dominant'), work_dir) == 0
    labelled = RunStore(work_dir).read(2, 'train')['labelled']
    assert labelled['clicks'] == labelled['seconds'] == labelled['units'] > 0
    assert 0.1 < labelled['fraction'] <= 0.15
    # As many regions as fit into 15 % of the pixels: the plan is for mean sizes.
    planned = float(plan.split(' h) and ')[1].split(' clicks')[0].replace(',', ''))
    assert 0.5 * planned < labelled['units'] < 2 * planned
    manifest, maps = Manifest.load(work_dir / 'manifest.parquet'), region_maps_of(work_dir)
    query = RunStore(work_dir).query(INITIAL)
    assert export(work_dir, tmp_path / 'out', 'png') > 0
    mixed = 0
    for sample, unit in zip(query.sample.tolist(), query.unit.tolist()):
        inside = maps(sample) == unit
        file = (tmp_path / 'out/labels' / manifest.names[sample]).with_suffix('.png')
        truth = np.asarray(Image.open(label_file(manifest.paths[sample], world, world)))[inside]
        counts = np.bincount(truth[truth != 255], minlength=1)
        expected = counts.argmax() if counts.sum() else 255
        assert (np.asarray(Image.open(file))[inside] == expected).all()
        mixed += len(np.unique(truth)) > 1
    assert mixed


@pytest.mark.parametrize('field', ['budget', 'rounds.initial.budget'])
def test_there_are_no_objects_to_budget_by(small_config, tmp_path, caplog, field):
    options = ['--dry-run', '--cfg-options', f'{field}.unit=per_object', f'{field}.per_round=1']
    assert run(small_config('pixelpick', more=FOUR), tmp_path / 'run', *options) == MISTAKE
    assert f"`{field}.unit` other than 'per_object'" in caplog.text


@pytest.mark.parametrize(
    'more, message',
    [
        ("oracle = dict(dominant=True)\n", 'as `oracle.dominant` asks for one class'),
        (
            "acquisition = dict(_delete_=True, type='PixelUncertainty', score='Random')\n",
            'Expected a model that learns pixels, as PixelUncertainty asks about them',
        ),
    ],
)  # fmt: skip
def test_detectors_have_no_classes_of_pixels(tmp_path, caplog, more, message):
    config = tmp_path / 'glyphs.py'
    base, root = CONFIGS / 'sandbox/glyphs_entropy.py', tmp_path / 'world'
    config.write_text(
        f"_base_ = ['{base}']\n"
        f"sandbox = dict(root='{root}', spec=dict(n_train=4, n_val=2, side=64),\n"
        f"               pretrain=dict(checkpoint='{root}.pth', scenes=4, iterations=1))\n"
        f"train_dataloader = dict(dataset=dict(data_root='{root}'))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{root}'))\n{more}"
    )
    assert run(str(config), tmp_path / 'run', '--dry-run') == MISTAKE
    assert message in caplog.text and 'learns boxes' in caplog.text
