"""Point annotations in the published layout."""

import copy
import doctest
import json

import numpy as np
import pytest

from dense_al.datasets import point_files
from dense_al.datasets.point_files import InstancePoints, read_points, write_points

COCO = dict(
    info=dict(description='two images'),
    images=[
        dict(id=7, file_name='a.jpg', width=40, height=30),
        dict(id=9, file_name='b.jpg', width=20, height=20),
    ],
    categories=[dict(id=3, name='cell')],
    annotations=[
        dict(id=11, image_id=7, category_id=3, bbox=[2.5, 3, 10, 8.2], area=50, iscrowd=0,
             segmentation=[[3, 4, 9, 4, 9, 10]]),
        dict(id=5, image_id=9, category_id=3, bbox=[15, 15, 9, 9], area=25, iscrowd=0,
             segmentation=[[15, 15, 20, 15, 20, 20]]),
        dict(id=6, image_id=9, category_id=3, bbox=[0, 0, 4, 4], area=16, iscrowd=1,
             segmentation=dict(counts=[0, 400], size=[20, 20])),
    ],
)  # fmt: skip
POINTS = {
    11: InstancePoints([[2, 3], [12, 11], [5, 6]], [1, 0, 1]),
    5: InstancePoints([[19, 19]], [0]),
}


def test_doctests():
    assert doctest.testmod(point_files).failed == 0


def test_round_trip(tmp_path):
    before = copy.deepcopy(COCO)
    write_points(tmp_path / 'points.json', COCO, POINTS)
    assert before == COCO
    found = read_points(tmp_path / 'points.json')
    assert set(found) == {11, 5}
    for number, given in found.items():
        assert given.coords.dtype == given.labels.dtype == np.int64
        assert given.coords.tolist() == POINTS[number].coords.tolist()
        assert given.labels.tolist() == POINTS[number].labels.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ['points.json']


def test_the_published_layout(tmp_path):
    write_points(tmp_path / 'points.json', COCO, POINTS)
    written = json.loads((tmp_path / 'points.json').read_text())
    assert written['images'] == COCO['images'] and written['info'] == COCO['info']
    first, second, third = written['annotations']
    assert first['point_coords'] == [[2, 3], [12, 11], [5, 6]] and first['point_labels'] == [
        1,
        0,
        1,
    ]
    assert first['bbox'] == [2.5, 3, 10, 8.2] and first['id'] == 11
    assert third['point_coords'] == third['point_labels'] == []
    assert not any('segmentation' in annotation for annotation in written['annotations'])


def test_later_points_take_the_place_of_earlier_ones(tmp_path):
    path = tmp_path / 'points.json'
    write_points(path, COCO, POINTS)
    write_points(path, json.loads(path.read_text()), {5: POINTS[5]})
    assert set(read_points(path)) == {5}


def test_points_as_floats_and_plain_coco_files_are_read(tmp_path):
    coco = copy.deepcopy(COCO)
    coco['annotations'][0].update(point_coords=[[5.0, 6.0]], point_labels=[1])
    (tmp_path / 'points.json').write_text(json.dumps(coco))
    assert read_points(tmp_path / 'points.json')[11].coords.tolist() == [[5, 6]]


def test_a_box_covers_what_it_touches(tmp_path):
    write_points(tmp_path / 'p', COCO, {11: InstancePoints([[2, 3], [12, 11]], [1, 1])})
    for outside in ([1, 3], [2, 2], [13, 11], [12, 12]):
        with pytest.raises(ValueError, match=r'from \[2, 3\] to \[12, 11\]'):
            write_points(tmp_path / 'p', COCO, {11: InstancePoints([outside], [1])})
    with pytest.raises(ValueError, match=r'to \[19, 19\].*but got \[20, 19\]'):  # the image ends
        write_points(tmp_path / 'p', COCO, {5: InstancePoints([[20, 19]], [1])})


def test_a_refused_write_leaves_the_file_alone(tmp_path):
    path = tmp_path / 'points.json'
    write_points(path, COCO, POINTS)
    with pytest.raises(ValueError, match='12 first; the nearest ids are'):
        write_points(path, COCO, {12: POINTS[5]})
    assert set(read_points(path)) == {11, 5}


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(point_coords=[[5, 6]]), '`point_coords` alone'),
        (dict(point_coords=[[5, 6]], point_labels=[1, 0]), 'annotation 11 of'),
        (dict(point_coords=[[5, 6, 1]], point_labels=[1]), r'\[\[x, y\], ...\]'),
        (dict(point_coords=[[5, 6]], point_labels=[2]), r'labels 0 or 1 of points, but got \[2\]'),
        (dict(point_coords=[[5, 6]], point_labels=[-1]), 'labels 0 or 1'),
        (dict(point_coords=[[5.5, 6]], point_labels=[1]), 'whole pixels'),
        (dict(point_coords=[[30, 6]], point_labels=[1]), 'annotation 11 in .*but got'),
        (dict(point_coords=[[5, None]], point_labels=[1]), 'annotation 11 of'),
        (dict(id=5), '5 twice'),
        (dict(image_id=8, point_coords=[[5, 6]], point_labels=[1]), 'image_id 8'),
    ],
)
def test_broken_files_are_named(tmp_path, change, message):
    coco = copy.deepcopy(COCO)
    coco['annotations'][0].update(change)
    (tmp_path / 'points.json').write_text(json.dumps(coco))
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path / 'points.json')


@pytest.mark.parametrize('text, message', [('{', 'could not read'), ('[]', "with .'images'")])
def test_what_is_no_coco_file(tmp_path, text, message):
    (tmp_path / 'points.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path / 'points.json')
