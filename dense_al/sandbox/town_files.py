"""The world `town` on disk: the layout of SemanticKITTI, and a label map in its format."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.sandbox.streets_files import write_world
from dense_al.sandbox.town import (
    RAW_LABELS,
    TOWN_CLASSES,
    TOWN_PALETTE,
    TOWN_SPLITS,
    TownSpec,
    describe_town,
    sequence_numbers,
)
from dense_al.sandbox.town_meshes import pose_of
from dense_al.sandbox.town_scan import CALIBRATION, scan_town, stream, town_poses

LABEL_MAP_FILE = 'town.yaml'
SPLIT_NAMES = {'train': 'train', 'val': 'valid'}
SECONDS_PER_FRAME = 0.1
# Camera axes: x right, y down, z ahead.
TO_CAMERA_AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
CAMERA_PLACE = (0.27, 0.06, -0.08)  # metres from the sensor
CAMERA = np.array([[700.0, 0, 600, 0], [0, 700, 180, 0], [0, 0, 1, 0]])
BASELINES = (0.0, -0.54, 0.06, -0.48)  # metres from camera 0 along x to each camera


def write_town(
    root: str | os.PathLike[str], spec: TownSpec | None = None, *, overwrite: bool = False
) -> Path:
    """Writes a world to disk, unless it is there already.

    `sequences/<number>/` holds `velodyne/<frame>.bin` (float32 x, y, z, intensity per point),
    `labels/<frame>.label` (uint32, the instance in the upper 16 bits), `poses.txt` (of camera 0,
    which is the first one's in frame 0), `calib.txt` and `times.txt`; with Tr of the calibration,
    Tr^-1 P Tr takes the points of a frame to the first frame. `town.yaml` says what the labels
    mean and which sequences are `train` and `valid`; the description lies in `world.json`. An
    interrupted run leaves no world; several processes may write the same one at once.

    Args:
        root: Folder of the world.
        spec: The world; the default spec where None.
        overwrite: Replace another world at `root`.

    Returns:
        The absolute path of `root`.

    Raises:
        ValueError: `root` holds another world or something that is none.
        ImportError: open3d cannot be imported; it comes with the extra `lidar`.
    """
    spec = TownSpec() if spec is None else spec

    def fill(folder: Path) -> None:
        (folder / LABEL_MAP_FILE).write_text(label_map_text(spec), encoding='utf-8')
        for split, sequence, name in _sequences(spec):
            _write_sequence(folder / name, spec, split, sequence)

    return write_world(root, describe_town(spec), list(_files(spec)), fill, overwrite=overwrite)


def _sequences(spec: TownSpec) -> Iterator[tuple[str, int, str]]:
    """Split, index and folder of all sequences."""
    for split in TOWN_SPLITS:
        for index, number in enumerate(sequence_numbers(spec, split)):
            yield split, index, f'sequences/{number:02d}'


def _files(spec: TownSpec) -> Iterator[str]:
    """Paths of all files but `world.json`, relative to the root."""
    yield LABEL_MAP_FILE
    for split, _, folder in _sequences(spec):
        yield from (f'{folder}/{name}.txt' for name in ('calib', 'poses', 'times'))
        for frame in range(spec.length(split)):
            yield f'{folder}/velodyne/{frame:06d}.bin'
            yield f'{folder}/labels/{frame:06d}.label'


def _write_sequence(folder: Path, spec: TownSpec, split: str, sequence: int) -> None:
    for kind in ('velodyne', 'labels'):
        (folder / kind).mkdir(parents=True)
    poses = town_poses(spec, split, sequence)
    to_camera = calibration(spec, split, sequence)
    camera_poses = to_camera @ poses @ np.linalg.inv(to_camera)
    seconds = SECONDS_PER_FRAME * np.arange(len(poses))
    texts = {
        'calib': _calib_text(to_camera),
        'poses': ''.join(_row(pose[:3]) + '\n' for pose in camera_poses),
        'times': ''.join(f'{second:.6e}\n' for second in seconds),
    }
    for name, text in texts.items():
        (folder / f'{name}.txt').write_text(text, encoding='utf-8')
    for frame in range(len(poses)):
        scan = scan_town(spec, split, sequence, frame)
        scan.points.astype('<f4').tofile(folder / 'velodyne' / f'{frame:06d}.bin')
        scan.label.astype('<u4').tofile(folder / 'labels' / f'{frame:06d}.label')


def calibration(spec: TownSpec, split: str, sequence: int) -> np.ndarray:
    """(4, 4) float64 Tr of a sequence: sensor to camera 0, a little askew."""
    angles = np.radians(stream(spec, split, sequence, CALIBRATION).uniform(-1, 1, 3))
    return TO_CAMERA_AXES @ np.linalg.inv(pose_of(np.array(CAMERA_PLACE), *angles))


def _calib_text(to_camera: np.ndarray) -> str:
    """The file `calib.txt`: four cameras without distortion, then Tr."""
    lines = []
    for i, baseline in enumerate(BASELINES):
        camera = CAMERA.copy()
        camera[0, 3] = CAMERA[0, 0] * baseline
        lines.append(f'P{i}: {_row(camera)}\n')
    return ''.join(lines) + f'Tr: {_row(to_camera[:3])}\n'


def _row(matrix: np.ndarray) -> str:
    # Zeros have no sign, whatever they were computed from.
    return ' '.join(f'{value + 0.0:.12e}' for value in np.round(matrix.ravel(), 15))


def label_map_text(spec: TownSpec) -> str:
    """The file `town.yaml`: labels, their colours and classes, and the splits.

    Group 0 of `learning_map` is ignored; group i + 1 is class i of `TOWN_CLASSES`. Colours are
    blue, green, red, as in the tools of SemanticKITTI.
    """
    groups = {n: _group_of(label.group) for n, label in RAW_LABELS.items()}
    colours = [(0, 0, 0), *TOWN_PALETTE]
    inverse = {group: min(n for n in groups if groups[n] == group) for group in groups.values()}
    names = {0: 'ignored', **{i + 1: name for i, name in enumerate(TOWN_CLASSES)}}
    tables: dict[str, dict[Any, Any]] = {
        'labels': {n: label.name for n, label in RAW_LABELS.items()},
        'color_map': {n: list(colours[group][::-1]) for n, group in groups.items()},
        'learning_map': groups,
        'learning_map_inv': dict(sorted(inverse.items())),
        'learning_names': names,
        'learning_ignore': {group: str(group == 0).lower() for group in names},
        'split': {SPLIT_NAMES[s]: sequence_numbers(spec, s) for s in TOWN_SPLITS},
    }
    lines = ['# Labels of the generated world `town`, in the format of SemanticKITTI.\n']
    for name, table in tables.items():
        lines += [f'{name}:\n', *(f'  {key}: {value}\n' for key, value in table.items())]
    return ''.join(lines)


def _group_of(group: str | None) -> int:
    return 0 if group is None else TOWN_CLASSES.index(group) + 1
