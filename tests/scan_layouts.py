"""Tiny data sets of scans in the layouts of SemanticKITTI and nuScenes.

All scans of a sequence see the same points of the world from where the car is, in another order.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

KITTI_LABELS = (0, 10, 13, 30, 40, 60, 70, 99, 252, 257)
NUSCENES_LABELS = (0, 9, 17, 24, 28, 31)
INSTANCE = 7 << 16


class ScanLayout(NamedTuple):
    """What was written.

    Attributes:
        root: Folder of the data set.
        world: Name of a sequence -> (N, 3) float64 points in its world, in metres.
        orders: Name of a scan -> (N,) which of them each point of the scan is.
        poses: Name of a scan -> (4, 4) float64, sensor to world.
        raw: Name of a scan -> (N,) annotated labels.
        intensity: Name of a scan -> (N,) float32 as in the file.
    """

    root: Path
    world: dict
    orders: dict
    poses: dict
    raw: dict
    intensity: dict


def write_semantic_kitti(folder, sequences=('00', '08'), n_frames=3, n_points=400, labels=True):
    """`folder/kitti/sequences/...`, the calibration turned and shifted; the last frame is 5."""
    layout = ScanLayout(Path(folder) / 'kitti', {}, {}, {}, {}, {})
    to_camera = motion((92.0, -1.5, 89.0), (-0.01, -0.06, -0.28)) @ motion((-90, 0, -90), (0, 0, 0))
    for number, sequence in enumerate(sequences):
        place = layout.root / 'sequences' / sequence
        for name in ('velodyne', 'labels')[: 2 if labels else 1]:
            (place / name).mkdir(parents=True)
        frames = [*range(n_frames - 1), 5]
        drive = [motion((0.5 * i, 0.3 * i, 2.0 * i), (0.9 * i, 0.05 * i, 0.0)) for i in range(6)]
        rng = np.random.default_rng(number)
        layout.world[sequence] = street(rng, n_points)
        classes = rng.choice(KITTI_LABELS, n_points)
        for frame in frames:
            name = f'{sequence}/{frame:06d}'
            points = _seen(layout, name, sequence, drive[frame], rng)
            layout.raw[name] = classes[layout.orders[name]]
            layout.intensity[name] = rng.uniform(0, 1, n_points).astype(np.float32)
            values = np.column_stack([points, layout.intensity[name]]).astype('<f4')
            values.tofile(place / 'velodyne' / f'{frame:06d}.bin')
            if labels:
                raw = (layout.raw[name] + INSTANCE).astype('<u4')
                raw.tofile(place / 'labels' / f'{frame:06d}.label')
        camera = [to_camera @ pose @ np.linalg.inv(to_camera) for pose in drive]
        (place / 'poses.txt').write_text(''.join(_line(pose) + '\n' for pose in camera))
        lines = [f'P{i}: {_line(np.eye(4))}' for i in range(4)] + [f'Tr: {_line(to_camera)}']
        (place / 'calib.txt').write_text('\n'.join(lines) + '\n')
    return layout


def write_nuscenes(
    folder, scenes=('scene-0061', 'scene-0003'), n_frames=3, n_points=300, labels=True
):
    """`folder/nuscenes` with the tables `v1.0-mini`, rows in no order.

    Between two keyframes lies a sweep, and each has an image beside it.
    """
    layout = ScanLayout(Path(folder) / 'nuscenes', {}, {}, {}, {}, {})
    for name in ('samples/LIDAR_TOP', 'v1.0-mini', 'lidarseg/v1.0-mini'):
        (layout.root / name).mkdir(parents=True)
    mounting = motion((0.5, -1.0, -90.0), (0.94, 0.0, 1.84))
    tables = {name: [] for name in ('scene', 'sample', 'sample_data', 'ego_pose', 'lidarseg')}
    tables['sensor'] = [dict(token=f's-{c}', channel=c) for c in ('CAM_FRONT', 'LIDAR_TOP')]
    tables['calibrated_sensor'] = [
        dict(token=f'c-{c}', sensor_token=f's-{c}', **_turn_and_shift(pose))
        for c, pose in (('CAM_FRONT', np.eye(4)), ('LIDAR_TOP', mounting))
    ]
    tables['category'] = [dict(index=i, name=name) for i, name in nuscenes_names().items()]
    for number, scene in enumerate(scenes):
        rng = np.random.default_rng(number)
        layout.world[scene] = street(rng, n_points) + [600.0, 1600.0, 0.0]
        classes = rng.choice(NUSCENES_LABELS, n_points)
        tables['scene'].append(dict(token=f't-{scene}', name=scene))
        for frame in range(n_frames):
            name = f'{scene}/{frame:06d}'
            car = motion((0, 1.0, 20.0 * frame), (600.0 + 2 * frame, 1600.0, 0.1))
            points = _seen(layout, name, scene, car @ mounting, rng)
            layout.raw[name] = classes[layout.orders[name]]
            layout.intensity[name] = rng.integers(0, 256, n_points).astype(np.float32)
            values = np.column_stack([points, layout.intensity[name], np.arange(n_points) % 32])
            file = f'samples/LIDAR_TOP/{scene}_{frame}.pcd.bin'
            values.astype('<f4').tofile(layout.root / file)
            token = _scan_rows(tables, scene, frame, file, car)
            path = f'lidarseg/v1.0-mini/{token}_lidarseg.bin'
            layout.raw[name].astype(np.uint8).tofile(layout.root / path)
            tables['lidarseg'].append(dict(token=token, sample_data_token=token, filename=path))
    for name, rows in tables.items():
        if labels or name != 'lidarseg':
            shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
            path = layout.root / 'v1.0-mini' / f'{name}.json'
            path.write_text(json.dumps(shuffled, indent=0))
    return layout


def nuscenes_names():
    """Annotated label -> name, from the label map of the package."""
    from dense_al.datasets.label_map import read_label_map

    return read_label_map('nuscenes').names


def street(rng, n):
    """(n, 3) points of a ground, a wall and some boxes around the origin, in metres."""
    ground = np.column_stack([rng.uniform(-30, 30, (n, 2)), rng.normal(-1.7, 0.02, n)])
    wall = np.column_stack([rng.uniform(-30, 30, n), np.full(n, 11.4), rng.uniform(-1.7, 6, n)])
    boxes = rng.uniform((-2, -1, -1.7), (2, 1, 0), (n, 3))
    boxes[:, :2] += rng.choice([-15, -5, 6, 14], (n, 2))
    kind = rng.integers(0, 3, n)[:, None]
    return np.where(kind == 0, ground, np.where(kind == 1, wall, boxes))


def motion(angles, shift):
    """(4, 4) turn about x, y, z in degrees, then a shift in metres."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('xyz', angles, degrees=True).as_matrix()
    pose[:3, 3] = shift
    return pose


def _seen(layout, name, sequence, pose, rng):
    """The sequence's points from a pose, shuffled; notes pose and order."""
    world = layout.world[sequence]
    layout.poses[name], layout.orders[name] = pose, rng.permutation(len(world))
    return (world[layout.orders[name]] - pose[:3, 3]) @ pose[:3, :3]


def _scan_rows(tables, scene, frame, file, car):
    """Rows of a keyframe, its image and the sweep after it; returns the scan's token."""
    time = 1_500_000_000_000_000 + 500_000 * frame
    sample = f'sample-{scene}-{frame}'
    tables['sample'].append(dict(token=sample, scene_token=f't-{scene}', timestamp=time))
    kinds = [
        ('scan', 'LIDAR_TOP', True, file, time),
        ('image', 'CAM_FRONT', True, file.replace('.pcd.bin', '.jpg'), time + 1),
        ('sweep', 'LIDAR_TOP', False, file.replace('samples', 'sweeps'), time + 50_000),
    ]
    for kind, channel, keyframe, filename, when in kinds:
        token = f'{kind}-{scene}-{frame}'
        shifted = motion((0, 0, 0), (0, 0, when - time)) @ car
        tables['ego_pose'].append(dict(token=f'e-{token}', **_turn_and_shift(shifted)))
        tables['sample_data'].append(
            dict(
                token=token,
                sample_token=sample,
                ego_pose_token=f'e-{token}',
                calibrated_sensor_token=f'c-{channel}',
                timestamp=when,
                is_key_frame=keyframe,
                filename=filename,
            )
        )
    return f'scan-{scene}-{frame}'


def _turn_and_shift(pose):
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
    return dict(rotation=[w, x, y, z], translation=pose[:3, 3].tolist())


def _line(pose):
    return ' '.join(f'{value:.9e}' for value in pose[:3].ravel())
