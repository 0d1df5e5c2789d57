"""Label maps: the shipped ones and users' own."""

import numpy as np
import pytest
import yaml

from dense_al.datasets.label_map import (
    FOLDER,
    IGNORE,
    label_map_text,
    read_label_map,
    with_unlabelled,
)

SMALL = {
    'labels': {0: 'nothing', 4: 'pine', 5: 'oak', 300: 'street'},
    'learning_map': {0: 0, 4: 2, 5: 2, 300: 1},
    'learning_names': {0: 'nothing', 1: 'road', 2: 'tree'},
}


@pytest.fixture
def written(tmp_path):
    def write(**changes):
        path = tmp_path / 'map.yaml'
        content = {k: v for k, v in {**SMALL, **changes}.items() if v is not None}
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def test_semantic_kitti_is_the_official_map():
    label_map = read_label_map('semantic_kitti')
    assert label_map.classes == (
        'car', 'bicycle', 'motorcycle', 'truck', 'other-vehicle', 'person', 'bicyclist',
        'motorcyclist', 'road', 'parking', 'sidewalk', 'other-ground', 'building', 'fence',
        'vegetation', 'trunk', 'terrain', 'pole', 'traffic-sign',
    )  # fmt: skip
    assert len(label_map.names) == 34 and label_map.names[256] == 'moving-on-rails'
    assert sorted(k for k, v in label_map.class_of.items() if v == IGNORE) == [0, 1, 52, 99]
    for label, name in label_map.names.items():
        if name.startswith('moving-') and name[7:] in label_map.classes:
            assert label_map.classes[label_map.class_of[label]] == name[7:]
    assert label_map.palette[0] == (100, 150, 245) and label_map.palette[8] == (255, 0, 255)
    assert label_map.splits['valid'] == (8,) and len(label_map.splits['train']) == 10
    assert not set(label_map.splits['train']) & {*label_map.splits['test'], 8}


def test_nuscenes_is_the_map_of_the_challenge():
    label_map = read_label_map('nuscenes')
    assert len(label_map.classes) == 16 and len(label_map.names) == 32
    by_class = {name: set() for name in label_map.classes}
    for label, index in label_map.class_of.items():
        if index != IGNORE:
            by_class[label_map.classes[index]].add(label_map.names[label])
    assert by_class['bus'] == {'vehicle.bus.bendy', 'vehicle.bus.rigid'}
    assert by_class['pedestrian'] == {
        f'human.pedestrian.{kind}'
        for kind in ('adult', 'child', 'construction_worker', 'police_officer')
    }
    assert by_class['manmade'] == {'static.manmade'}
    single = [found for name, found in by_class.items() if name not in ('bus', 'pedestrian')]
    assert all(len(found) == 1 for found in single)


@pytest.mark.parametrize('name', sorted(path.stem for path in FOLDER.glob('*.yaml')))
def test_shipped_maps_have_colours_of_their_own(name):
    palette = read_label_map(name).palette
    assert len(set(palette)) == len(palette)


@pytest.mark.parametrize('name', ['semantic_kitti', 'nuscenes', None])
def test_a_map_that_is_written_reads_the_same(written, tmp_path, name):
    label_map = read_label_map(written() if name is None else name)
    path = tmp_path / 'again.yaml'
    path.write_text(label_map_text(label_map))
    again = read_label_map(path)
    for field in ('classes', 'palette', 'names', 'class_of'):
        assert getattr(again, field) == getattr(label_map, field), field
    assert again.splits == {}


def test_a_label_for_what_nobody_labelled(written, tmp_path):
    assert with_unlabelled(read_label_map('nuscenes'))[1] == 0
    label_map = read_label_map(written(learning_ignore={0: False}))
    assert label_map.class_of[0] == 0
    more, label = with_unlabelled(label_map)
    assert label == 1 and more.names[1] == 'unlabelled' and more.classes == label_map.classes
    path = tmp_path / 'again.yaml'
    path.write_text(label_map_text(more))
    raw = np.array([1, 0, 4], np.uint16)
    assert read_label_map(path).apply(raw).tolist() == [IGNORE, 0, 2]


def test_apply_and_ignoring(written):
    label_map = read_label_map(written())
    raw = np.array([300, 4, 5, 0], np.uint16)
    assert label_map.classes == ('road', 'tree')
    assert label_map.apply(raw).tolist() == [0, 1, 1, IGNORE]
    assert label_map.ignoring([5]).apply(raw).tolist() == [0, 1, IGNORE, IGNORE]
    with pytest.raises(ValueError, match=r'labels of the label map \(0, 4, 5, 300\), but got \[6'):
        label_map.apply(np.array([4, 6, 6], np.uint16))
    with pytest.raises(ValueError, match=r'but got \[7\]'):
        label_map.ignoring([7, 5])


def test_names_colours_and_ignored_groups(written):
    path = written(
        learning_names=None,
        learning_map_inv={0: 0, 1: 300, 2: 5},
        learning_ignore={0: False, 1: True},
        color_map={5: [1, 2, 3], 0: [0, 0, 0]},
    )
    label_map = read_label_map(path)
    assert label_map.classes == ('nothing', 'oak')
    assert label_map.palette == ((0, 0, 0), (3, 2, 1))
    assert label_map.apply(np.array([300, 0], np.uint16)).tolist() == [IGNORE, 0]


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(labels=None), '`labels` in .*map.yaml, but got none'),
        (dict(learning_map=[1]), '`learning_map` in .*map.yaml'),
        (dict(learning_map={0: 0, 4: 2, 5: 2}), r'but got \[300\] in one of them'),
        (dict(learning_names=None), r'a name of each class .*none for \[1, 2\]'),
        (dict(learning_ignore={0: True, 1: True, 2: True}), '1 to 255 classes .*but got 0'),
        (
            dict(labels={70000: 'x'}, learning_map={70000: 1}),
            r'labels from 0 to 65535 .*but got \[70000\]',
        ),
    ],
)
def test_maps_that_do_not_fit(written, changes, message):
    with pytest.raises(ValueError, match=message):
        read_label_map(written(**changes))


def test_a_map_that_is_no_yaml(tmp_path):
    path = tmp_path / 'map.yaml'
    path.write_text('labels: {0: [')
    with pytest.raises(ValueError, match='Expected YAML, but could not read .*map.yaml'):
        read_label_map(path)
