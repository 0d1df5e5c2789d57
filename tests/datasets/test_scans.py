"""Scans in the layout of SemanticKITTI: geometry, labels, and what is wrong with files."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scan_layouts import write_semantic_kitti  # noqa: E402

from dense_al.datasets.images import UnreadableSampleError  # noqa: E402
from dense_al.datasets.label_map import IGNORE, read_label_map  # noqa: E402
from dense_al.datasets.scans import Scan, ScanFormat, ScanRecord, ScanSource  # noqa: E402
from dense_al.datasets.semantic_kitti import read_poses, read_semantic_kitti  # noqa: E402

REAL = Path(os.environ.get('DENSE_AL_REAL_DATA', '../shared/data')) / 'pandaset02_lidar'


@pytest.fixture
def layout(tmp_path):
    return write_semantic_kitti(tmp_path)


def test_records_in_order_of_sequence_and_frame(layout):
    source = read_semantic_kitti(layout.root)
    frames = ('000000', '000001', '000005')
    assert [r.name for r in source.records] == [f'{s}/{f}' for s in ('00', '08') for f in frames]
    assert [r.frame for r in source.records] == [0, 1, 5, 0, 1, 5]
    assert {r.sequence for r in source.records} == {'00', '08'} and len(source) == 6
    assert source.n_points.tolist() == [400] * 6 and source.n_points.dtype == np.int64
    assert source.labelled.all() and len(source.classes) == len(source.palette) == 19


def test_points_come_back_to_the_same_places_of_the_world(layout):
    source = read_semantic_kitti(layout.root)
    for record in source.records:
        scan = source.load_scan(record)
        assert scan.points.dtype == scan.intensity.dtype == np.float32 and len(scan) == 400
        np.testing.assert_allclose(scan.pose, layout.poses[record.name], atol=1e-7)
        world = scan.points.astype(np.float64) @ scan.pose[:3, :3].T + scan.pose[:3, 3]
        expected = layout.world[record.sequence][layout.orders[record.name]]
        np.testing.assert_allclose(world, expected, atol=1e-5)
        np.testing.assert_array_equal(scan.intensity, layout.intensity[record.name])
        assert (scan.name, scan.frame) == (record.name, record.frame)


def test_labels_are_classes(layout):
    official, lidal = (read_semantic_kitti(layout.root, lidal_labels=x) for x in (False, True))
    record = official.records[4]
    raw = layout.raw[record.name]
    other, road = (official.classes.index(name) for name in ('other-vehicle', 'road'))
    by_hand = {0: IGNORE, 10: 0, 13: other, 30: 5, 40: road, 60: road, 70: 14, 99: IGNORE,
               252: 0, 257: other}  # fmt: skip
    classes = official.load_labels(record)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, [by_hand[label] for label in raw])
    by_hand |= {13: IGNORE, 257: IGNORE, 60: IGNORE}
    np.testing.assert_array_equal(lidal.load_labels(record), [by_hand[label] for label in raw])
    assert lidal.classes == official.classes


def test_sequences_and_splits_are_chosen(layout):
    chosen = read_semantic_kitti(layout.root, sequences=[8])
    assert {r.sequence for r in chosen.records} == {'08'}
    assert len(read_semantic_kitti(layout.root, split='valid')) == 3
    both = read_semantic_kitti(layout.root, sequences=('08', '00'))
    assert [r.sequence for r in both.records] == ['00'] * 3 + ['08'] * 3


def test_a_data_set_without_labels(tmp_path):
    source = read_semantic_kitti(write_semantic_kitti(tmp_path, labels=False).root)
    assert not source.labelled.any() and source.n_points.sum() == 2400
    assert len(source.load_scan(source.records[0])) == 400
    with pytest.raises(UnreadableSampleError, match='labels of `00/000000`, but it has none'):
        source.load_labels(source.records[0])


def test_only_some_scans_have_labels(layout):
    (layout.root / 'sequences/08/labels/000001.label').unlink()
    source = read_semantic_kitti(layout.root)
    assert source.labelled.tolist() == [True] * 4 + [False, True]


def test_a_source_is_cheap_to_send_and_reads_the_same_there(layout):
    source = read_semantic_kitti(layout.root)
    sent = pickle.loads(pickle.dumps(source))
    for one, other in zip(source.records, sent.records):
        np.testing.assert_array_equal(source.load_labels(one), sent.load_labels(other))
        np.testing.assert_array_equal(source.load_scan(one).points, sent.load_scan(other).points)
    assert len(pickle.dumps(source.records[0])) < 2000


def test_listing_reads_no_points_and_no_labels(layout):
    for path in [*layout.root.rglob('*.bin'), *layout.root.rglob('*.label')]:
        path.write_bytes(b'\xff' * 32)
    assert read_semantic_kitti(layout.root).n_points.tolist() == [2] * 6


def _broken(layout, name, change):
    path = layout.root / 'sequences/08' / name
    path.write_bytes(change(path.read_bytes()))
    source = read_semantic_kitti(layout.root)
    return source, source.records[4]


def _with_value(value):
    def change(content):
        values = np.frombuffer(content, '<f4').copy()
        values[4 * 7 + 1] = value
        return values.tobytes()

    return change


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_coordinates_that_are_not_finite(layout, value):
    source, record = _broken(layout, 'velodyne/000001.bin', _with_value(value))
    with pytest.raises(UnreadableSampleError, match='finite .*08/velodyne/000001.bin.* point 7 '):
        source.load_scan(record)


@pytest.mark.parametrize('change', [lambda c: c[:-3], lambda c: c[:-4], lambda c: b''])
def test_a_truncated_scan(layout, change):
    source, record = _broken(layout, 'velodyne/000001.bin', change)
    for read in (lambda: source.n_points, lambda: source.load_scan(record)):
        with pytest.raises(UnreadableSampleError, match='whole points of 16 bytes.*000001.bin'):
            read()


@pytest.mark.parametrize('change', [lambda c: c[:-4], lambda c: c[:-1], lambda c: c + c])
def test_labels_of_another_number(layout, change):
    source, record = _broken(layout, 'labels/000001.label', change)
    with pytest.raises(UnreadableSampleError, match='400 labels of 4 bytes in .*000001.label'):
        source.load_labels(record)


def test_labels_that_the_map_does_not_have(layout):
    raw = np.full(400, 10, '<u4')
    raw[[3, 5]] = 23, 24 + (9 << 16)
    source, record = _broken(layout, 'labels/000001.label', lambda c: raw.tobytes())
    with pytest.raises(UnreadableSampleError, match=r'got \[23, 24\] at 2 points of .*000001'):
        source.load_labels(record)


def test_a_scan_that_vanished(layout):
    source = read_semantic_kitti(layout.root)
    (layout.root / 'sequences/00/velodyne/000005.bin').unlink()
    with pytest.raises(UnreadableSampleError, match='Could not read .*00/velodyne/000005.bin'):
        source.load_scan(source.records[2])


POSE = '1 0 0 0 0 1 0 0 0 0 1 0\n'


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('poses.txt', POSE, 'pose of .*000001.bin in line 2 of .*poses.txt'),
        ('poses.txt', '1 0 0 0 0 1 0 0 0 0 1\n', 'twelve numbers in line 1 of .*poses.txt'),
        ('poses.txt', '1 0 0 0 0 1 0 0 0 0 one 0\n', 'twelve numbers in line 1 of .*poses.txt'),
        ('poses.txt', '2 0 0 0 0 1 0 0 0 0 1 0\n' * 6, '`pose` of `08/000000` to be a rigid'),
        ('poses.txt', POSE * 3 + '\n' + POSE * 6, 'twelve numbers in line 4 of .*poses.txt'),
        ('calib.txt', 'P0: 1 0 0 0 0 1 0 0 0 0 1 0\n', 'a line `Tr:` in .*calib.txt'),
        ('calib.txt', 'Tr: 1 0 0\n', 'twelve numbers in line `Tr` of .*calib.txt'),
        ('velodyne/first.bin', '', 'number of a frame as name, but got .*first.bin'),
    ],
)
def test_poses_and_calibrations_that_do_not_fit(layout, name, content, message):
    (layout.root / 'sequences/08' / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_semantic_kitti(layout.root)


@pytest.mark.parametrize('name', ['poses.txt', 'calib.txt'])
def test_poses_or_calibration_missing(layout, name):
    (layout.root / 'sequences/08' / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'the file .*08/{name}'):
        read_semantic_kitti(layout.root)


@pytest.mark.parametrize(
    'options, error, message',
    [
        (dict(sequences=['09']), ValueError, r'sequences of .*\(00, 08\), but got 09'),
        (dict(sequences=[0, '00']), ValueError, 'each once .*but got 00, 00'),
        (dict(sequences=[]), ValueError, 'but got none'),
        (dict(split='train', sequences=[0]), ValueError, '`sequences` or `split`'),
        (dict(split='trian'), ValueError, 'Did you mean `train`'),
        (dict(label_map='semantic_kity'), FileNotFoundError, 'Did you mean `semantic_kitti`'),
    ],
)
def test_wrong_choices(layout, options, error, message):
    with pytest.raises(error, match=message):
        read_semantic_kitti(layout.root, **options)


def test_no_folder_of_sequences(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'the folder {tmp_path}/sequences'):
        read_semantic_kitti(tmp_path)


def _record(name='a', pose=None):
    return ScanRecord(name, '0', 0, 'a.bin', None, np.eye(4) if pose is None else pose)


def test_structures_check_themselves():
    label_map, layout = read_label_map('nuscenes'), ScanFormat(4, 1.0, 4)
    with pytest.raises(ValueError, match='at least one scan'):
        ScanSource((), label_map, layout)
    with pytest.raises(ValueError, match='`a` comes twice'):
        ScanSource((_record('b'), _record('a'), _record('a')), label_map, layout)
    for pose in (
        np.eye(4, dtype=np.float32),
        np.diag([1, 1, np.nan, 1.0]),
        np.zeros((4, 4)),
        np.eye(3),
        np.ones(3),
    ):
        with pytest.raises(ValueError, match='`pose` of `a` to be a rigid motion'):
            _record(pose=pose)
    good = dict(points=np.zeros((5, 3), np.float32), intensity=np.zeros(5, np.float32))
    good |= dict(pose=np.eye(4), name='a', sequence='0', frame=0)
    assert len(Scan(**good)) == 5
    for field, value in dict(points=np.zeros((5, 3)), intensity=np.zeros(4, np.float32)).items():
        with pytest.raises(ValueError, match=f'`{field}` of shape .* of `a`, but got'):
            Scan(**{**good, field: value})


@pytest.mark.real_data
def test_real_scans_align():
    """Points of the first and the last scan lie on the same surfaces, and have the same classes."""
    if not REAL.is_dir():
        pytest.skip(f'needs {REAL}; DENSE_AL_REAL_DATA is the folder of the real sample data')
    from scipy.spatial import cKDTree

    source = read_semantic_kitti(REAL, label_map=REAL / 'pandaset.yaml')
    assert len(source) == 30 and len(source.classes) == 13
    assert 100_000 < source.n_points.min() and source.n_points.max() < 110_000
    clouds = []
    for record in (source.records[0], source.records[23]):
        scan, classes = source.load_scan(record), source.load_labels(record)
        still = np.isin(classes, [source.classes.index(name) for name in ('building', 'road')])
        still &= np.linalg.norm(scan.points, axis=1) < 25
        world = scan.points[still] @ scan.pose[:3, :3].T + scan.pose[:3, 3]
        clouds.append((scan.points[still], world, classes[still]))
    (_, first, classes), (unmoved, last, others) = clouds
    tree = cKDTree(first)
    distance, nearest = tree.query(last)
    assert np.median(distance) < 0.12
    assert np.median(tree.query(unmoved)[0]) > 5 * np.median(distance)
    near = distance < 0.3
    assert near.mean() > 0.6 and (classes[nearest] == others)[near].mean() > 0.99


def test_blank_lines_after_the_last_pose_do_not_matter(layout):
    folder = layout.root / 'sequences/00'
    expected = read_poses(folder)
    text = (folder / 'poses.txt').read_text()
    (folder / 'poses.txt').write_text(text + '\n  \n')
    np.testing.assert_array_equal(read_poses(folder), expected)
    (folder / 'poses.txt').write_text(text.rstrip())
    np.testing.assert_array_equal(read_poses(folder), expected)


def test_poses_are_relative_to_the_first_lidar(layout):
    poses = read_poses(layout.root / 'sequences/00')
    assert poses.shape == (6, 4, 4) and poses.dtype == np.float64
    np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-8)
    assert np.linalg.norm(poses[5, :3, 3]) > 4
