"""The world `streets`: reproducible, unbalanced, redundant, two domains, safe on disk."""

import dataclasses
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dense_al.sandbox import (
    STREETS_CLASSES,
    STREETS_PALETTE,
    STREETS_SPLITS,
    StreetsSpec,
    render_scene,
    scene_name,
    streets_sheet,
    write_streets,
)

DEFAULT = StreetsSpec()
SMALL = StreetsSpec(
    seed=3, height=48, width=96, n_train=5, n_val=2, n_source=2, frames_per_sequence=4
)
TOOL = Path(__file__).parents[2] / 'tools' / 'make_sandbox.py'


def scenes(split, indices, spec=DEFAULT):
    images, labels = zip(*(render_scene(spec, split, i) for i in indices))
    return np.stack(images), np.stack(labels)


@pytest.fixture(scope='module')
def shares():
    """Split -> (12,) share of the pixels of each class."""
    result = {}
    for split, step in (('train', 4), ('val', 1), ('source', 1)):
        _, labels = scenes(split, range(0, 24 * step, step))
        counts = np.bincount(labels.ravel(), minlength=256)[: len(STREETS_CLASSES)]
        result[split] = counts / counts.sum()
    return result


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob('*') if p.is_file()}


@pytest.mark.parametrize('split', STREETS_SPLITS)
def test_scene_shapes_types_and_labels(split):
    image, label = render_scene(SMALL, split, 0)
    assert image.shape == (48, 96, 3) and image.dtype == np.uint8
    assert label.shape == (48, 96) and label.dtype == np.uint8
    assert set(np.unique(label)) <= {*range(len(STREETS_CLASSES)), 255}
    assert len(STREETS_PALETTE) == len(STREETS_CLASSES) == len(set(STREETS_PALETTE))


def test_scene_is_deterministic_and_leaves_global_randomness_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = render_scene(SMALL, 'train', 7)
    render_scene(SMALL, 'val', 1)
    second = render_scene(SMALL, 'train', 7)
    assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert np.array_equal(before, np.random.get_state()[1])


def test_scene_depends_on_seed_split_and_index_only():
    image, _ = render_scene(SMALL, 'val', 1)
    more = dataclasses.replace(SMALL, n_train=99, n_val=50, n_source=0)
    assert np.array_equal(image, render_scene(more, 'val', 1)[0])
    for other in (
        render_scene(dataclasses.replace(SMALL, seed=4), 'val', 1),
        render_scene(SMALL, 'val', 0),
        render_scene(SMALL, 'train', 1),
    ):
        assert not np.array_equal(image, other[0])


def test_frames_of_a_sequence_are_near_duplicates():
    spec = DEFAULT
    per = spec.frames_per_sequence
    _, labels = scenes('train', range(4 * per))
    labels = labels.reshape(4, per, *labels.shape[1:])
    within = np.mean(labels[:, 1:] == labels[:, :-1])
    between = np.mean(labels[1:] == labels[:-1])
    assert within > 0.85
    assert within > between + 0.15
    assert not np.array_equal(labels[0, 0], labels[0, 1])


def test_val_and_source_show_another_street_in_every_image():
    names = {scene_name(SMALL, 'val', i).split('/')[0] for i in range(5)}
    assert len(names) == 5
    train = [scene_name(SMALL, 'train', i) for i in range(5)]
    assert train[3] == 'train0000/train0000_000003'
    assert train[4] == 'train0001/train0001_000000'


def test_classes_are_unbalanced_and_all_there(shares):
    for split in ('train', 'val'):
        share = dict(zip(STREETS_CLASSES, shares[split]))
        assert min(share.values()) > 0.0005, split
        assert max(share['person'], share['bicycle'], share['traffic sign']) < 0.015
        assert share['bicycle'] < 0.01
        assert share['road'] > 30 * share['person']
        assert share['building'] > 0.15


def test_domains_differ_in_light_and_in_frequencies(shares):
    source, _ = scenes('source', range(12))
    target, _ = scenes('train', range(0, 48, 4))
    assert source.mean() > target.mean() + 15
    target_spread = target.mean((1, 2, 3)).std()
    assert target_spread > 2 * source.mean((1, 2, 3)).std()
    person = STREETS_CLASSES.index('person')
    assert shares['train'][person] > 1.5 * shares['source'][person]
    assert np.abs(shares['train'] - shares['source']).sum() > 0.1


def test_night_share_is_kept():
    def brightness(share):
        spec = dataclasses.replace(SMALL, night_share=share)
        return scenes('val', range(8), spec)[0].mean((1, 2, 3))

    day, night, mixed = brightness(0.0), brightness(1.0), brightness(0.5)
    assert day.mean() > 1.5 * night.mean()
    is_day = mixed == day
    assert np.array_equal(mixed[~is_day], night[~is_day])
    assert is_day.sum() == 4


def test_layout_on_disk(tmp_path):
    root = write_streets(tmp_path / 'a' / 'world', SMALL)
    assert root == tmp_path / 'a' / 'world'
    for split in STREETS_SPLITS:
        images = sorted((root / 'leftImg8bit' / split).glob('*/*_leftImg8bit.png'))
        assert len(images) == SMALL.count(split)
        for index, path in enumerate(images):
            name = scene_name(SMALL, split, index)
            assert path.as_posix().endswith(f'{split}/{name}_leftImg8bit.png')
            label = root / 'gtFine' / split / f'{name}_gtFine_labelTrainIds.png'
            wanted = render_scene(SMALL, split, index)
            for got, want in zip((path, label), wanted):
                assert np.array_equal(np.asarray(Image.open(got)), want)
    world = json.loads((root / 'world.json').read_text())
    assert world['spec'] == dataclasses.asdict(SMALL)
    assert world['counts'] == {'train': 5, 'val': 2, 'source': 2}
    assert tuple(world['classes']) == STREETS_CLASSES
    assert len(world['palette']) == len(STREETS_CLASSES)
    assert [p.name for p in root.parent.iterdir()] == ['world']


def test_writing_is_idempotent_and_repairs(tmp_path):
    root = write_streets(tmp_path / 'world', SMALL)
    before = tree(root)
    stamps = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    write_streets(root, SMALL)
    assert stamps == {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    next(root.rglob('*_leftImg8bit.png')).unlink()
    write_streets(root, SMALL)
    assert tree(root) == before


def test_another_world_is_an_error_that_names_the_difference(tmp_path):
    root = write_streets(tmp_path / 'world', SMALL)
    other = dataclasses.replace(SMALL, n_val=1)
    with pytest.raises(ValueError, match=r'`spec\.n_val` is 2 there and 1 here'):
        write_streets(root, other)
    write_streets(root, other, overwrite=True)
    assert len(list((root / 'gtFine' / 'val').glob('*/*.png'))) == 1
    assert [p.name for p in tmp_path.iterdir()] == ['world']


@pytest.mark.parametrize('overwrite', [False, True])
def test_what_is_no_world_is_never_replaced(tmp_path, overwrite):
    (tmp_path / 'thesis.txt').write_text('three years')
    with pytest.raises(ValueError, match='Expected `root` to be a new folder'):
        write_streets(tmp_path, SMALL, overwrite=overwrite)
    with pytest.raises(ValueError, match='Expected `root` to be a folder'):
        write_streets(tmp_path / 'thesis.txt', SMALL, overwrite=overwrite)
    assert (tmp_path / 'thesis.txt').read_text() == 'three years'


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def stop(spec, split, index):
        if index == 3:
            raise KeyboardInterrupt
        return render_scene(spec, split, index)

    monkeypatch.setattr('dense_al.sandbox.streets.render_scene', stop)
    with pytest.raises(KeyboardInterrupt):
        write_streets(tmp_path / 'world', SMALL)
    assert list(tmp_path.iterdir()) == []


def _write(root, barrier):
    barrier.wait()
    write_streets(root, SMALL)


def test_two_processes_may_write_at_once(tmp_path):
    context = multiprocessing.get_context('fork')
    barrier = context.Barrier(3)
    root = tmp_path / 'world'
    jobs = [context.Process(target=_write, args=(root, barrier)) for _ in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert tree(root) == tree(write_streets(tmp_path / 'alone', SMALL))
    assert sorted(p.name for p in tmp_path.iterdir()) == ['alone', 'world']


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('height', 16, 'Expected `height` to be an integer of at least 32, but got 16'),
        ('n_train', 1.5, 'Expected `n_train` to be an integer of at least 0, but got 1.5'),
        ('seed', True, 'Expected `seed` to be an integer of at least 0, but got True'),
        ('frames_per_sequence', 0, '`frames_per_sequence` to be an integer of at least 1'),
        ('night_share', 1.2, 'Expected `night_share` to be a number from 0 to 1, but got 1.2'),
        ('night_share', float('nan'), 'Expected `night_share` to be a number from 0 to 1'),
        ('frame_step', 'far', "Expected `frame_step` to be a number from 0 to 10, but got 'far'"),
    ],
)
def test_wrong_settings_are_named(name, value, message):
    with pytest.raises(ValueError, match=message):
        StreetsSpec(**{name: value})


def test_wrong_scenes_are_named():
    with pytest.raises(ValueError, match="Expected `split` to be one of .* but got 'test'"):
        render_scene(SMALL, 'test', 0)
    with pytest.raises(ValueError, match='Expected `index` to be an integer of at least 0'):
        render_scene(SMALL, 'val', -1)


def test_sheet_shows_pairs_of_image_and_label():
    sheet = streets_sheet(SMALL, per_split=3, columns=2)
    assert sheet.shape[1:] == (2 * 2 * 96, 3) and sheet.shape[0] % 48 == 0
    assert np.array_equal(sheet[:48, :96], render_scene(SMALL, 'train', 0)[0])


def test_tool_writes_world_and_sheet(tmp_path):
    options = '--n-train 2 --n-val 1 --n-source 1 --height 48 --width 96'.split()
    command = [sys.executable, TOOL, 'streets', tmp_path / 'world', *options]
    done = subprocess.run(
        [*command, '--contact-sheet', tmp_path / 'sheet.png'], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / 'world') in done.stdout
    assert Image.open(tmp_path / 'sheet.png').size[0] > 96
    failed = subprocess.run([*command, '--seed', '9'], capture_output=True, text=True)
    assert failed.returncode == 2
    assert '`spec.seed` is 0 there and 9 here' in failed.stderr
    assert 'Traceback' not in failed.stderr
