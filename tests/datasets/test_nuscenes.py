"""nuScenes from its tables alone."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scan_layouts import write_nuscenes  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402

from dense_al.datasets.images import UnreadableSampleError  # noqa: E402
from dense_al.datasets.label_map import IGNORE  # noqa: E402
from dense_al.datasets.nuscenes import read_nuscenes, rotation_of  # noqa: E402


@pytest.fixture
def layout(tmp_path):
    return write_nuscenes(tmp_path)


def _change(layout, table, change):
    path = layout.root / 'v1.0-mini' / f'{table}.json'
    rows = json.loads(path.read_text())
    path.write_text(json.dumps(change(rows) or rows))


def test_keyframes_of_the_lidar_by_scene_and_time(layout):
    source = read_nuscenes(layout.root)
    scenes = ('scene-0003', 'scene-0061')
    assert [r.name for r in source.records] == [f'{s}/{i:06d}' for s in scenes for i in range(3)]
    assert [r.frame for r in source.records] == [0, 1, 2] * 2
    assert [Path(r.points_path).name for r in source.records][3] == 'scene-0061_0.pcd.bin'
    assert source.n_points.tolist() == [300] * 6 and len(source.classes) == 16


def test_points_come_back_to_the_same_places_of_the_world(layout):
    source = read_nuscenes(layout.root)
    for record in source.records:
        scan = source.load_scan(record)
        np.testing.assert_allclose(scan.pose, layout.poses[record.name], atol=1e-9)
        world = scan.points.astype(np.float64) @ scan.pose[:3, :3].T + scan.pose[:3, 3]
        expected = layout.world[record.sequence][layout.orders[record.name]]
        np.testing.assert_allclose(world, expected, atol=1e-5)
        np.testing.assert_allclose(scan.intensity, layout.intensity[record.name] / 255, rtol=1e-6)
        assert scan.intensity.max() <= 1


def test_labels_are_classes(layout):
    source = read_nuscenes(layout.root)
    by_hand = {0: IGNORE, 31: IGNORE, 9: 0, 17: 3, 24: 10, 28: 14}
    for record in source.records:
        expected = [by_hand[label] for label in layout.raw[record.name]]
        np.testing.assert_array_equal(source.load_labels(record), expected)


def test_scenes_are_chosen(layout, tmp_path):
    one = read_nuscenes(layout.root, version='v1.0-mini', scenes=['scene-0061'])
    assert {r.sequence for r in one.records} == {'scene-0061'}
    listed = tmp_path / 'train.txt'
    listed.write_text('scene-0003\n\nscene-0061\n')
    assert len(read_nuscenes(layout.root, split_file=listed)) == 6
    with pytest.raises(ValueError, match=r'\(scene-0003, scene-0061\), but got scene-0004'):
        read_nuscenes(layout.root, scenes=['scene-0004'])
    with pytest.raises(ValueError, match='`scenes` or `split_file`'):
        read_nuscenes(layout.root, scenes=['scene-0003'], split_file=listed)


def test_a_version_without_labels(tmp_path):
    source = read_nuscenes(write_nuscenes(tmp_path, labels=False).root)
    assert not source.labelled.any() and len(source.load_scan(source.records[0])) == 300


def test_versions(layout):
    with pytest.raises(FileNotFoundError, match='v1.0-min, but there are none. Did you .*mini'):
        read_nuscenes(layout.root, version='v1.0-min')
    (layout.root / 'v1.0-test').mkdir()
    with pytest.raises(FileNotFoundError, match='but got v1.0-mini, v1.0-test; give `version`'):
        read_nuscenes(layout.root)
    assert len(read_nuscenes(layout.root, version='v1.0-mini')) == 6
    with pytest.raises(FileNotFoundError, match='but got none; give `version`'):
        read_nuscenes(layout.root / 'samples')


@pytest.mark.parametrize('table', ['scene', 'sample', 'sample_data', 'ego_pose', 'sensor'])
def test_a_missing_table_is_named(layout, table):
    (layout.root / 'v1.0-mini' / f'{table}.json').unlink()
    with pytest.raises(FileNotFoundError, match=f'the table .*v1.0-mini/{table}.json'):
        read_nuscenes(layout.root)


@pytest.mark.parametrize(
    'table, change, message',
    [
        ('ego_pose', lambda rows: [r for r in rows if 'scan-' not in r['token']], '6 missing ones'),
        ('ego_pose', lambda rows: [{**r, 'rotation': [0] * 4} for r in rows], 'a quaternion w, x'),
        ('sample', lambda rows: [r for r in rows if '0061' not in r['token']], r"\['scene-0061'\]"),
        ('category', lambda rows: [{**r, 'name': 'x'} for r in rows], 'to be `.*but got `x` in'),
        ('sample', lambda rows: [{'token': 'a'}], "rows with 'scene_token' in .*sample.json"),
    ],
)
def test_tables_that_do_not_fit(layout, table, change, message):
    _change(layout, table, change)
    with pytest.raises(ValueError, match=message):
        read_nuscenes(layout.root)


def test_a_table_that_ends_too_early(layout):
    path = layout.root / 'v1.0-mini' / 'sample.json'
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ValueError, match='a table in JSON, but could not read .*sample.json'):
        read_nuscenes(layout.root)


def test_files_that_do_not_fit(layout):
    source = read_nuscenes(layout.root)
    labels = Path(source.records[0].label_path)
    labels.write_bytes(labels.read_bytes()[:-1])
    with pytest.raises(UnreadableSampleError, match='300 labels of 1 bytes .*but got 299'):
        source.load_labels(source.records[0])
    points = Path(source.records[0].points_path)
    points.write_bytes(points.read_bytes()[:-4])
    with pytest.raises(UnreadableSampleError, match='whole points of 20 bytes'):
        source.load_scan(source.records[0])


def test_rotations_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for w, x, y, z in rng.normal(size=(20, 4)):
        expected = Rotation.from_quat([x, y, z, w]).as_matrix()
        np.testing.assert_allclose(rotation_of([w, x, y, z]), expected, atol=1e-12)
    for wrong in ([0, 0, 0, 0], [1, 0, 0], [np.nan, 0, 0, 1]):
        with pytest.raises(ValueError, match='a quaternion w, x, y, z'):
            rotation_of(wrong)
