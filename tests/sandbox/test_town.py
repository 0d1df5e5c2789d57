"""The world `town`: reproducible, SemanticKITTI's format, overlapping frames, rare classes."""

import dataclasses
import hashlib
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.spatial import cKDTree

from dense_al.registry import ConfigError
from dense_al.sandbox import (
    TOWN_CLASSES,
    TOWN_PALETTE,
    TOWN_SPLITS,
    TownSpec,
    scan_town,
    town_class_of,
    town_poses,
    town_sheet,
    write_town,
    write_world_of,
)
from dense_al.sandbox.town import MOVING, RAW, RAW_LABELS
from dense_al.sandbox.town_layout import draw_layout
from dense_al.sandbox.town_scan import _open_scene
from dense_al.sandbox.town_scene import place_thing, shape_of

pytest.importorskip('open3d')

DEFAULT = TownSpec()
DENSE = TownSpec(beams=64, columns=1200)
SMALL = TownSpec(
    seed=3, n_train_sequences=2, n_val_sequences=1, frames=3, val_frames=2, beams=12, columns=90
)
CENTRE = 1  # the train sequence in a town centre, with people
TOOL = Path(__file__).parents[2] / 'tools' / 'make_sandbox.py'


def raw_of(scan):
    return scan.label & 0xFFFF


def is_moving(scan):
    return np.isin(raw_of(scan), list(MOVING.values()))


def world_points(spec, split, sequence, frame):
    """Scan and its points in the frame of the sequence."""
    scan, pose = scan_town(spec, split, sequence, frame), town_poses(spec, split, sequence)[frame]
    return scan, scan.points[:, :3] @ pose[:3, :3].T + pose[:3, 3]


def match_rates(spec, sequence, frame, step, distance=0.1):
    """Share of the points that stand and that move with a neighbour in a later frame."""
    scan, points = world_points(spec, 'train', sequence, frame)
    _, later = world_points(spec, 'train', sequence, frame + step)
    near = cKDTree(later).query(points, distance_upper_bound=distance)[0] <= distance
    moving = is_moving(scan)
    return near[~moving].mean(), near[moving].mean()


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob('*') if p.is_file()}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return write_town(tmp_path_factory.mktemp('town') / 'world', SMALL)


@pytest.fixture(scope='module')
def shares():
    """Split -> (sequences, classes) share of the points of each class; ignored ones count too."""
    result = {}
    for split in TOWN_SPLITS:
        rows = []
        for sequence in range(DEFAULT.count(split)):
            frames = range(0, DEFAULT.length(split), 3)
            scans = [scan_town(DEFAULT, split, sequence, frame) for frame in frames]
            classes = np.concatenate([town_class_of(scan.label) for scan in scans])
            rows.append(np.bincount(classes, minlength=256)[: len(TOWN_CLASSES)] / len(classes))
        result[split] = np.array(rows)
    return result


def test_scan_shapes_types_and_ranges():
    scan = scan_town(SMALL, 'train', 0, 1)
    points = scan.points
    assert points.dtype == np.float32 and points.shape == (len(scan.label), 4)
    assert scan.label.dtype == np.uint32 and scan.label.ndim == 1
    assert 0.6 * 12 * 90 < len(points) <= 12 * 90
    assert np.isfinite(points).all()
    assert points[:, 3].min() >= 0 and points[:, 3].max() < 1
    assert set(np.unique(raw_of(scan))) <= set(RAW_LABELS)
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    assert elevation.min() > -25 and elevation.max() < 2.01
    ranges = np.linalg.norm(points[:, :3], axis=1)
    assert ranges.max() < SMALL.max_range + 0.2


def test_default_and_real_sizes():
    sizes = [len(scan_town(DEFAULT, 'train', i, 20).points) for i in range(6)]
    assert 8000 < min(sizes) and max(sizes) < 12000
    real = dataclasses.replace(DEFAULT, beams=64, columns=1900)
    assert len(scan_town(real, 'train', 0, 20).points) > 85_000


def test_scan_is_deterministic_and_leaves_global_randomness_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = scan_town(SMALL, 'train', 1, 2)
    scan_town(SMALL, 'val', 0, 1)
    _open_scene.cache_clear()
    second = scan_town(SMALL, 'train', 1, 2)
    assert np.array_equal(first.points, second.points)
    assert np.array_equal(first.label, second.label)
    assert np.array_equal(before, np.random.get_state()[1])


def test_scan_depends_on_seed_split_sequence_and_frame_only():
    points = scan_town(SMALL, 'train', 1, 1).points
    more = dataclasses.replace(SMALL, n_train_sequences=7, n_val_sequences=0, val_frames=9)
    assert np.array_equal(points, scan_town(more, 'train', 1, 1).points)
    for other in (
        scan_town(dataclasses.replace(SMALL, seed=4), 'train', 1, 1),
        scan_town(SMALL, 'train', 0, 1),
        scan_town(SMALL, 'train', 1, 2),
        scan_town(SMALL, 'val', 1, 1),
    ):
        assert not np.array_equal(points, other.points)


def test_another_sensor_drives_along_the_same_street():
    finer = dataclasses.replace(SMALL, beams=40, columns=500, noise=0.0, dropout=0.0)
    assert np.array_equal(town_poses(SMALL, 'train', 0), town_poses(finer, 'train', 0))
    coarse, fine = (world_points(spec, 'train', 0, 0)[1] for spec in (SMALL, finer))
    assert np.median(cKDTree(fine).query(coarse)[0]) < 0.15


def test_files_read_back_with_numpy_alone(world):
    names = sorted(p.name for p in (world / 'sequences').iterdir())
    assert names == ['00', '01', '02']
    for split, sequence, name in (('train', 0, '00'), ('train', 1, '01'), ('val', 0, '02')):
        folder = world / 'sequences' / name
        length = SMALL.length(split)
        assert len(list((folder / 'velodyne').iterdir())) == length
        assert len(list((folder / 'labels').iterdir())) == length
        times = np.loadtxt(folder / 'times.txt', ndmin=1)
        assert np.allclose(times, 0.1 * np.arange(length))
        for frame in range(length):
            points = np.fromfile(folder / f'velodyne/{frame:06d}.bin', np.float32).reshape(-1, 4)
            labels = np.fromfile(folder / f'labels/{frame:06d}.label', np.uint32)
            scan = scan_town(SMALL, split, sequence, frame)
            assert len(points) == len(labels)
            assert np.array_equal(points, scan.points) and np.array_equal(labels, scan.label)


def test_poses_follow_the_formula_of_semantic_kitti(world):
    for name, split, sequence in (('01', 'train', 1), ('02', 'val', 0)):
        folder = world / 'sequences' / name
        lines = dict(line.split(':') for line in (folder / 'calib.txt').read_text().splitlines())
        assert list(lines) == ['P0', 'P1', 'P2', 'P3', 'Tr']
        to_camera, camera = np.eye(4), np.tile(np.eye(4), (SMALL.length(split), 1, 1))
        to_camera[:3] = np.array(lines['Tr'].split(), float).reshape(3, 4)
        camera[:, :3] = np.loadtxt(folder / 'poses.txt').reshape(-1, 3, 4)
        # The camera looks ahead: its z axis is the sensor's x axis, nearly.
        assert to_camera[2, 0] > 0.99 and abs(to_camera[0, 0]) < 0.1
        assert np.allclose(camera[0], np.eye(4), atol=1e-9)
        poses = np.linalg.inv(to_camera) @ camera @ to_camera
        assert np.allclose(poses, town_poses(SMALL, split, sequence), atol=1e-9)
        assert not np.allclose(camera[1], poses[1], atol=0.1)
        moved = np.diff(poses[:, :3, 3], axis=0)
        assert (np.linalg.norm(moved, axis=1) > 0.4).all() and (moved[:, 0] > 0.4).all()


def test_drive_is_smooth_and_tilts_a_little():
    poses = town_poses(DEFAULT, 'train', 0)
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    assert steps.min() > 0.5 and steps.max() < 1.0
    assert np.allclose(poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1), np.eye(3))
    tilt = np.degrees(np.arccos(poses[:, 2, 2]))
    assert 0.1 < tilt.max() < 8


def test_label_map_says_what_labels_mean(world):
    content = yaml.safe_load((world / 'town.yaml').read_text())
    learning = content['learning_map']
    assert set(learning) == set(content['labels']) == set(content['color_map']) == set(RAW_LABELS)
    classes = [content['learning_names'][i + 1] for i in range(len(TOWN_CLASSES))]
    assert tuple(classes) == TOWN_CLASSES
    assert content['learning_ignore'] == {i: i == 0 for i in range(len(TOWN_CLASSES) + 1)}
    raw = np.array(list(RAW_LABELS), np.uint32)
    groups = np.array([learning[int(r)] for r in raw])
    wanted = np.where(groups == 0, 255, groups - 1)
    assert np.array_equal(town_class_of(raw | np.uint32(7 << 16)), wanted)
    assert all(learning[raw] == group for group, raw in content['learning_map_inv'].items())
    assert learning[RAW['car']] == learning[RAW['moving-car']]
    assert all(group != raw for raw, group in learning.items() if raw)
    assert content['color_map'][RAW['car']] == list(TOWN_PALETTE[TOWN_CLASSES.index('car')])[::-1]
    assert content['split'] == {'train': [0, 1], 'valid': [2]}
    assert len(TOWN_PALETTE) == len(TOWN_CLASSES) == len(set(TOWN_PALETTE))


def test_static_points_of_two_frames_lie_on_the_same_surfaces():
    first, near = world_points(DENSE, 'train', CENTRE, 0)
    scan, points = world_points(DENSE, 'train', CENTRE, 4)
    still = points[~is_moving(scan)]
    tree_of_first = cKDTree(near[~is_moving(first)])
    assert np.median(tree_of_first.query(still)[0]) < 0.12
    # Without the pose nothing fits, not even walls and kerbs along the street.
    wrong = scan.points[~is_moving(scan), :3]
    upright = ~np.isin(town_class_of(scan.label)[~is_moving(scan)], (0, 1, 2))
    right_distance = np.median(tree_of_first.query(still[upright])[0])
    assert np.median(tree_of_first.query(wrong[upright])[0]) > 2 * right_distance


def test_frames_overlap_less_and_less_and_things_that_move_least():
    """Rates of dense scans in the streets of all kinds, one, four and twelve frames later."""
    rates = np.array([[match_rates(DENSE, i, 8, step) for step in (1, 4, 12)] for i in range(4)])
    still, moving = rates[..., 0].mean(axis=0), np.nanmean(rates[..., 1], axis=0)
    assert np.allclose(still, (0.7, 0.6, 0.45), atol=0.1)
    assert (moving < still).all()
    assert (moving[1:] < still[1:] / 3).all()


def test_only_what_moves_moves():
    scene = _open_scene(DEFAULT, 'train', CENTRE)
    assert len(scene.movers) >= 3
    frames = [world_points(DEFAULT, 'train', CENTRE, frame) for frame in (10, 14)]
    seen = {}
    for scan, points in frames:
        for label in np.unique(scan.label[scan.label >> 16 > 0]):
            part = points[scan.label == label]
            if len(part) >= 20:
                seen.setdefault(int(label), []).append(np.median(part, axis=0))
    shifts = {k: np.linalg.norm(v[1] - v[0]) for k, v in seen.items() if len(v) == 2}
    moving = [v for k, v in shifts.items() if k & 0xFFFF in MOVING.values()]
    still = [v for k, v in shifts.items() if k & 0xFFFF in MOVING]
    assert moving and still
    assert min(moving) > 0.3
    assert np.median(still) < 0.5  # another side of a car comes into view


def test_instances_are_of_one_class_and_belong_to_things_only():
    labels = np.concatenate([scan_town(DEFAULT, 'val', 0, k).label for k in range(0, 16, 3)])
    instances, raw = labels >> 16, labels & 0xFFFF
    things = {*MOVING, *MOVING.values()}
    assert set(np.unique(raw[instances > 0])) <= things
    assert not set(np.unique(raw[instances == 0])) & things
    pairs = np.unique(labels[instances > 0])
    assert len(np.unique(pairs >> 16)) == len(pairs) > 10


def test_classes_are_unbalanced_and_all_there(shares):
    for split in TOWN_SPLITS:
        share = dict(zip(TOWN_CLASSES, shares[split].mean(axis=0)))
        assert min(share.values()) > 0.0003, split
        assert share['road'] > 0.25
        assert min(share['building'], share['vegetation'], share['sidewalk']) > 0.03
        assert max(share['person'], share['cyclist'], share['traffic sign'], share['pole']) < 0.02
    assert shares['train'].mean(axis=0)[TOWN_CLASSES.index('person')] < 0.006


def test_rare_things_are_in_every_val_sequence_and_few_train_sequences(shares):
    rare = [TOWN_CLASSES.index(name) for name in ('truck', 'person', 'cyclist')]
    assert (shares['val'][:, rare] > 0).all()
    assert ((shares['train'][:, rare] < 1e-4).sum(axis=0) >= 2).all()
    assert ((shares['train'][:, rare] > 5e-4).sum(axis=0) >= 1).all()


def test_streets_of_sequences_differ(shares):
    between = np.abs(shares['train'][:, None] - shares['train'][None]).sum(axis=-1)
    assert between[np.triu_indices(len(between), 1)].min() > 0.05
    ends = [town_poses(DEFAULT, 'train', i)[-1, :2, 3] for i in range(6)]
    assert len({tuple(np.round(end, 2)) for end in ends}) == 6


def test_ignored_points_are_there_and_few():
    scans = [scan_town(DEFAULT, 'train', CENTRE, frame) for frame in range(0, 30, 3)]
    raw = np.concatenate([raw_of(scan) for scan in scans])
    ignored = np.isin(raw, [RAW['outlier'], RAW['other-object']])
    assert {RAW['outlier'], RAW['other-object']} <= set(raw[ignored])
    assert 0 < ignored.mean() < 0.03


def test_far_and_slanting_surfaces_return_less():
    calm = dataclasses.replace(DENSE, dropout=0.0, columns=600)
    lossy = dataclasses.replace(calm, dropout=0.2)
    kept = {}
    for spec in (calm, lossy):
        scan = scan_town(spec, 'train', CENTRE, 5)
        road = town_class_of(scan.label) == TOWN_CLASSES.index('road')
        ranges = np.linalg.norm(scan.points[road, :3], axis=1)
        kept[spec.dropout] = np.histogram(ranges, (0, 12, 25, 70))[0]
    near, middle, far = kept[0.2] / kept[0.0]
    assert 0.7 < near < 0.95
    assert near > middle > far


def test_intensity_tells_materials_and_fades():
    scan = scan_town(DENSE, 'train', CENTRE, 5)
    ranges = np.linalg.norm(scan.points[:, :3], axis=1)
    raw, power = raw_of(scan), scan.points[:, 3]
    road, near = raw == RAW['road'], ranges < 12

    def mean(name):
        return power[(raw == RAW[name]) & (ranges < 25)].mean()

    assert mean('traffic-sign') > 2 * mean('building') > mean('road')
    assert mean('sidewalk') > mean('road')
    assert power[road & near].mean() > 1.5 * power[road & (ranges > 25)].mean()


def test_range_noise_is_as_wide_as_asked():
    def distances(noise):
        spec = dataclasses.replace(DENSE, noise=noise, dropout=0.0, columns=600)
        scan = scan_town(spec, 'train', CENTRE, 5)
        return np.linalg.norm(scan.points[:, :3], axis=1), raw_of(scan)

    (quiet, raw), (loud, _) = distances(0.0), distances(0.05)
    # The same rays return: noise has its own numbers, and no surface is lost by it.
    error = (loud - quiet)[(raw == RAW['road']) & (quiet < 20)]
    assert 0.045 < error.std() < 0.065


def test_everything_stands_where_it_belongs():
    for split, sequence in (('train', 0), ('train', 1), ('train', 3), ('val', 0), ('val', 2)):
        rng = np.random.default_rng([5, sequence])
        layout = draw_layout(rng, split, sequence, 40, 0.75)
        street = layout.street
        for thing in layout.things:
            s, v = np.array(thing.s), np.array(thing.v)
            inward = v - np.sign(v) * thing.size[1] / 2
            if thing.kind in ('car', 'truck', 'bus', 'cyclist'):
                assert street.is_road(s, v), thing
                if abs(np.cos(thing.turn)) > 0.5:
                    assert abs(v) + thing.size[1] / 2 < street.half, thing
            elif thing.kind == 'building':
                assert abs(inward) > street.half + street.walk, thing
            elif thing.kind != 'person':
                assert not street.is_road(s, v), thing
            pose = place_thing(street, thing, 0)
            mesh = shape_of(thing)
            ground = street.locate(thing.s, thing.v)[2] + street.level(thing.s, thing.v)
            lowest = (mesh.vertices @ pose[:3, :3].T + pose[:3, 3])[:, 2].min() - ground
            assert lowest < 0.12, thing  # nothing floats


def test_nothing_runs_into_anything():
    for sequence in range(6):
        layout = draw_layout(np.random.default_rng([9, sequence]), 'train', sequence, 40, 0.75)
        things = [t for t in layout.things if t.instance]
        assert [t.instance for t in things] == list(range(1, len(things) + 1))
        frames = np.arange(40)[:, None]
        tracks = np.stack([(t.s, t.v) + frames * t.speed for t in things])
        # Vehicles are turned by right angles, nearly.
        sizes = [t.size[1::-1] if abs(np.cos(t.turn)) < 0.5 else t.size[:2] for t in things]
        tracks = np.concatenate([tracks, layout.drive[None]])
        room = np.array([*sizes, (4.5, 1.8)]) / 2
        apart = np.abs(tracks[:, None] - tracks[None])
        hit = (apart < (room[:, None] + room[None])[:, :, None]).all(axis=-1).any(axis=-1)
        assert not hit[~np.eye(len(hit), dtype=bool)].any()


def test_description_of_the_world(world):
    found = json.loads((world / 'world.json').read_text())
    assert found['world'] == 'town'
    assert found['spec'] == dataclasses.asdict(SMALL)
    assert tuple(found['classes']) == TOWN_CLASSES
    assert found['counts'] == {'train': 6, 'val': 2}
    assert found['sequences'] == {'train': ['00', '01'], 'val': ['02']}


def test_writing_is_idempotent_and_repairs(world):
    before = tree(world)
    stamps = {p: p.stat().st_mtime_ns for p in world.rglob('*')}
    write_town(world, SMALL)
    assert stamps == {p: p.stat().st_mtime_ns for p in world.rglob('*')}
    next(world.rglob('*.label')).unlink()
    write_town(world, SMALL)
    assert tree(world) == before


def test_interrupted_writing_leaves_nothing_and_is_made_up_for(world, tmp_path, monkeypatch):
    def stop(spec, split, sequence, frame):
        if (sequence, frame) == (1, 1):
            raise KeyboardInterrupt
        return scan_town(spec, split, sequence, frame)

    root = tmp_path / 'world'
    with monkeypatch.context() as patch:
        patch.setattr('dense_al.sandbox.town_files.scan_town', stop)
        with pytest.raises(KeyboardInterrupt):
            write_town(root, SMALL)
    assert list(tmp_path.iterdir()) == []
    assert tree(write_town(root, SMALL)) == tree(world)


def test_another_world_is_an_error_that_names_the_difference(tmp_path):
    tiny = dataclasses.replace(SMALL, n_train_sequences=0, val_frames=1)
    root = write_town(tmp_path / 'world', tiny)
    other = dataclasses.replace(tiny, beams=11)
    with pytest.raises(ValueError, match=r'`spec\.beams` is 12 there and 11 here'):
        write_town(root, other)
    write_town(root, other, overwrite=True)
    assert json.loads((root / 'world.json').read_text())['spec']['beams'] == 11


def _write(root, barrier):
    barrier.wait()
    write_town(root, SMALL)


def test_two_processes_may_write_at_once(world, tmp_path):
    context = multiprocessing.get_context('spawn')  # threads of open3d do not survive a fork
    barrier = context.Barrier(2)
    jobs = [context.Process(target=_write, args=(tmp_path / 'two', barrier)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0]
    assert tree(tmp_path / 'two') == tree(world)
    assert [p.name for p in tmp_path.iterdir()] == ['two']


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'beams': 1}, 'Expected `beams` to be an integer of at least 2, but got 1'),
        ({'frames': 2.5}, 'Expected `frames` to be an integer of at least 1, but got 2.5'),
        ({'seed': True}, 'Expected `seed` to be an integer of at least 0, but got True'),
        ({'dropout': 0.9}, 'Expected `dropout` to be a number from 0 to 0.5, but got 0.9'),
        ({'step': 'far'}, "Expected `step` to be a number from 0 to 3, but got 'far'"),
        ({'n_train_sequences': 98}, 'Expected at most 100 sequences .* but got 101'),
        ({'frames': 4000}, 'to be at most 2000 metres, but got 3000'),
    ],
)
def test_wrong_settings_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        TownSpec(**fields)


def test_wrong_names_in_a_config_come_with_near_ones(tmp_path):
    sandbox = dict(world='town', root=str(tmp_path / 'world'))
    with pytest.raises(ConfigError, match='towm.*town'):
        write_world_of({**sandbox, 'world': 'towm'})
    with pytest.raises(ConfigError, match='colums.*columns'):
        write_world_of({**sandbox, 'spec': {'colums': 90}})
    assert list(tmp_path.iterdir()) == []


def test_config_writes_a_world(world, tmp_path):
    spec = dataclasses.asdict(SMALL)
    write_world_of(dict(world='town', root=str(tmp_path / 'world'), spec=spec))
    assert tree(tmp_path / 'world') == tree(world)


def test_wrong_scans_are_named():
    with pytest.raises(ValueError, match="Expected `split` to be one of .* but got 'test'"):
        scan_town(SMALL, 'test', 0, 0)
    with pytest.raises(ValueError, match='Expected `sequence` to be an integer of at least 0'):
        scan_town(SMALL, 'val', -1, 0)
    with pytest.raises(
        ValueError, match='Expected `frame` to be an integer from 0 to 2, but got 3'
    ):
        scan_town(SMALL, 'train', 0, 3)


def test_missing_open3d_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'open3d', None)
    _open_scene.cache_clear()
    with pytest.raises(ImportError, match='extra `lidar`.*libusb'):
        write_town(tmp_path / 'world', SMALL)
    assert list(tmp_path.iterdir()) == []


def test_single_frame_and_standing_sensor():
    one = dataclasses.replace(SMALL, frames=1, val_frames=1)
    assert len(scan_town(one, 'train', 3, 0).points) > 500
    still = dataclasses.replace(SMALL, step=0.0)
    shifts = np.linalg.norm(np.diff(town_poses(still, 'train', 3)[:, :3, 3], axis=0), axis=1)
    assert shifts.max() < 0.05


def test_sheet_shows_every_sequence():
    sheet = town_sheet(SMALL, columns=2)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 2 * 480
    tiles = sheet.reshape(2, -1, 2, 480, 3).swapaxes(1, 2)
    colours = [len(np.unique(tile.reshape(-1, 3), axis=0)) for row in tiles for tile in row]
    assert min(colours[:3]) > 8 and colours[3] == 1


def test_tool_writes_the_same_bytes_in_another_process(world, tmp_path):
    options = [f'--{k.replace("_", "-")}={v}' for k, v in dataclasses.asdict(SMALL).items()]
    command = [sys.executable, TOOL, 'town', tmp_path / 'world', *options]
    done = subprocess.run(
        [*command, '--contact-sheet', tmp_path / 'sheet.png'], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    digests = [
        {name: hashlib.sha256(data).hexdigest() for name, data in tree(root).items()}
        for root in (world, tmp_path / 'world')
    ]
    assert digests[0] == digests[1]
    assert Image.open(tmp_path / 'sheet.png').size[0] > 480
