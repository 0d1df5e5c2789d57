"""nuScenes lidarseg (Fong et al., RA-L 2022), read from its tables alone."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.datasets.label_map import LabelMap, read_label_map
from dense_al.datasets.scans import ScanFormat, ScanRecord, ScanSource, chosen_sequences
from dense_al.registry import nearest

FORMAT = ScanFormat(columns=5, brightest=255.0, label_bytes=1)
CHANNEL = 'LIDAR_TOP'

Row = dict[str, Any]


def read_nuscenes(
    root: str | Path,
    *,
    version: str | None = None,
    scenes: Sequence[str] | None = None,
    split_file: str | Path | None = None,
    label_map: str | Path | LabelMap = 'nuscenes',
) -> ScanSource:
    """Lists the annotated scans of the LiDAR on the roof (2 per second), scene by scene.

    A scene is a sequence; scenes come in the order of their names, frames in that of time, numbered
    from 0. Intensities, 0 to 255 in the files, are scaled to [0, 1]; the number of the laser is
    left out. The world of all scenes of a city is one: pose = ego pose x mounting of the sensor.
    Labels are there if the version has a table `lidarseg.json`.

    Args:
        root: Folder with `samples` and the tables of a version, such as `v1.0-trainval`.
        version: Folder of the tables; None for the only one there is.
        scenes: Names such as `scene-0061`; None for all.
        split_file: A text file with the name of a scene in each line, in place of `scenes`.
        label_map: See `read_label_map`.

    Raises:
        FileNotFoundError: A folder or table is missing.
        ValueError: Tables that do not fit together, or scenes that are not there.
    """
    if not isinstance(label_map, LabelMap):
        label_map = read_label_map(label_map)
    if split_file is not None:
        if scenes is not None:
            raise ValueError(f'Expected `scenes` or `split_file`, but got {scenes} and a file')
        scenes = Path(split_file).read_text(encoding='utf-8').split()
    tables = _version_folder(Path(root), version)
    by_name = {row['name']: row for row in _rows(tables / 'scene.json')}
    wanted = chosen_sequences(list(by_name), scenes, str(tables))
    keyframes = _keyframes(tables, {by_name[name]['token']: name for name in wanted})
    mountings = _poses(tables / 'calibrated_sensor.json', _column(keyframes, 'calibrated_sensor'))
    cars = _poses(tables / 'ego_pose.json', _column(keyframes, 'ego_pose'))
    labels = _label_files(tables, label_map, {row['token'] for row in _all(keyframes)})
    records = []
    for name in wanted:
        for frame, row in enumerate(sorted(keyframes[name], key=lambda row: row['timestamp'])):
            file = labels.get(row['token'])
            records.append(
                ScanRecord(
                    name=f'{name}/{frame:06d}',
                    sequence=name,
                    frame=frame,
                    points_path=str(Path(root) / row['filename']),
                    label_path=None if file is None else str(Path(root) / file),
                    pose=cars[row['ego_pose_token']] @ mountings[row['calibrated_sensor_token']],
                )
            )
    return ScanSource(tuple(records), label_map, FORMAT)


def rotation_of(quaternion: Sequence[float]) -> np.ndarray:
    """The rotation that a quaternion stands for.

    Args:
        quaternion: w, x, y, z; its length does not matter.

    Returns:
        (3, 3) float64.

    Raises:
        ValueError: Not four finite numbers, or all zero.

    >>> rotation_of([1, 0, 0, 1]).round(6).tolist()  # a quarter turn about z
    [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    values = np.asarray(quaternion, np.float64)
    length = np.linalg.norm(values)
    if values.shape != (4,) or not np.isfinite(length) or length == 0:
        raise ValueError(f'Expected a quaternion w, x, y, z, but got {quaternion}')
    w, x, y, z = values / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _keyframes(tables: Path, scenes: Mapping[str, str]) -> dict[str, list[Row]]:
    """Name of a scene -> rows of `sample_data` of its scans, at least one each."""
    sensors = {row['token'] for row in _rows(tables / 'sensor.json') if row['channel'] == CHANNEL}
    mounted = {
        row['token']
        for row in _rows(tables / 'calibrated_sensor.json')
        if row['sensor_token'] in sensors
    }
    scene_of = {
        row['token']: scenes[row['scene_token']]
        for row in _rows(tables / 'sample.json', lambda row: row['scene_token'] in scenes)
    }
    found = defaultdict(list)
    for row in _rows(
        tables / 'sample_data.json',
        lambda row: (
            row['is_key_frame']
            and row['calibrated_sensor_token'] in mounted
            and row['sample_token'] in scene_of
        ),
    ):
        found[scene_of[row['sample_token']]].append(row)
    empty = sorted(set(scenes.values()) - set(found))
    if empty:
        raise ValueError(f'Expected scans of {CHANNEL} in {tables}, but got none of {empty}')
    return dict(found)


def _poses(path: Path, tokens: set[str]) -> dict[str, np.ndarray]:
    """Token -> (4, 4) float64, for all of the given tokens."""
    found = {}
    for row in _rows(path, lambda row: row['token'] in tokens):
        pose = np.eye(4)
        try:
            pose[:3, :3] = rotation_of(row['rotation'])
            pose[:3, 3] = row['translation']
        except ValueError as error:
            raise ValueError(f'{error} ({row["token"]} in {path})') from error
        found[row['token']] = pose
    missing = sorted(tokens - set(found))
    if missing:
        raise ValueError(
            f'Expected all poses of the scans in {path}, '
            f'but got none of {missing[0]} and {len(missing)} missing ones'
        )
    return found


def _label_files(tables: Path, label_map: LabelMap, tokens: set[str]) -> dict[str, str]:
    """Token of a scan -> its file of labels, where people or a ground truth have made one."""
    if not (tables / 'lidarseg.json').exists():
        return {}
    for row in _rows(tables / 'category.json'):
        number, name = row.get('index'), row['name']
        if number is not None and label_map.names.get(number) != name:
            raise ValueError(
                f'Expected label {number} to be `{label_map.names.get(number)}` as in the label '
                f'map, but got `{name}` in {tables / "category.json"}'
            )
    rows = _rows(tables / 'lidarseg.json', lambda row: row['sample_data_token'] in tokens)
    return {row['sample_data_token']: row['filename'] for row in rows}


def _rows(path: Path, keep: Callable[[Row], bool] = lambda row: True) -> list[Row]:
    """Rows of a table; those not kept are dropped while parsing, as tables have millions."""
    try:
        with open(path, encoding='utf-8') as file:
            rows = json.load(file, object_hook=lambda row: row if keep(row) else None)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'Expected the table {path}, but there is none') from error
    except json.JSONDecodeError as error:
        raise ValueError(f'Expected a table in JSON, but could not read {path}: {error}') from error
    except KeyError as error:
        raise ValueError(f'Expected rows with {error} in {path}, but got one without') from error
    return [row for row in rows if row is not None]


def _version_folder(root: Path, version: str | None) -> Path:
    present = sorted(path.name for path in root.glob('v1.0-*') if path.is_dir())
    if version is None and len(present) == 1:
        return root / present[0]
    if version in present:
        return root / str(version)
    if version is None:
        raise FileNotFoundError(
            f'Expected one folder of tables `v1.0-...` in {root}, '
            f'but got {", ".join(present) or "none"}; give `version`'
        )
    near = nearest(version, present)
    raise FileNotFoundError(f'Expected the tables {root / version}, but there are none. {near}')


def _all(keyframes: Mapping[str, Iterable[Row]]) -> Iterable[Row]:
    return (row for rows in keyframes.values() for row in rows)


def _column(keyframes: Mapping[str, Iterable[Row]], table: str) -> set[str]:
    return {row[f'{table}_token'] for row in _all(keyframes)}
