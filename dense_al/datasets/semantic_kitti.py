"""SemanticKITTI (Behley et al., ICCV 2019), and other scans in its layout.

`sequences/<number>/` holds `velodyne/<frame>.bin`, `poses.txt`, `calib.txt` and, where there is a
ground truth, `labels/<frame>.label`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dense_al.datasets.label_map import LabelMap, read_label_map
from dense_al.datasets.scans import ScanFormat, ScanRecord, ScanSource, chosen_sequences
from dense_al.registry import nearest

FORMAT = ScanFormat(columns=4, brightest=1.0, label_bytes=4)
POSES_FILE, CALIBRATION_FILE = 'poses.txt', 'calib.txt'
LIDAL_IGNORED = (13, 16, 60, 256, 257)
"""Labels that the released code of LiDAL (Hu et al., ECCV 2022) ignores: bus, on-rails, lane
marking. Officially they are other vehicles and road."""


def read_semantic_kitti(
    root: str | Path,
    *,
    sequences: Sequence[str | int] | None = None,
    split: str | None = None,
    label_map: str | Path | LabelMap = 'semantic_kitti',
    lidal_labels: bool = False,
) -> ScanSource:
    """Lists the scans of a data set in the layout of SemanticKITTI.

    Intensities are as they are in the files, 0 to 1 in SemanticKITTI. The world of a sequence is
    the first scan's: pose = Tr^-1 P Tr, with P from `poses.txt` and Tr from `calib.txt`.

    Args:
        root: Folder with `sequences`.
        sequences: Such as ('00', 8); None for all that are there.
        split: A split of the label map, such as `train`, in place of `sequences`.
        label_map: See `read_label_map`.
        lidal_labels: Whether to ignore what the released code of LiDAL does.

    Raises:
        FileNotFoundError: A folder or file is missing.
        ValueError: Sequences, poses or calibrations that do not fit.
    """
    if not isinstance(label_map, LabelMap):
        label_map = read_label_map(label_map)
    folder = _existing(Path(root) / 'sequences', 'folder')
    if split is not None:
        if sequences is not None:
            raise ValueError(f'Expected `sequences` or `split`, but got {sequences} and `{split}`')
        if split not in label_map.splits:
            near = nearest(split, label_map.splits)
            raise ValueError(f'Expected `split` of the label map, but got `{split}`. {near}')
        sequences = label_map.splits[split]
    present = [path.name for path in folder.iterdir() if (path / 'velodyne').is_dir()]
    wanted = None if sequences is None else [_sequence_name(name) for name in sequences]
    records: list[ScanRecord] = []
    for name in chosen_sequences(present, wanted, str(folder)):
        records.extend(_sequence(folder / name))
    if lidal_labels:
        label_map = label_map.ignoring(LIDAL_IGNORED)
    return ScanSource(tuple(records), label_map, FORMAT)


def read_poses(folder: str | Path) -> np.ndarray:
    """Poses of a sequence in the frame of its LiDAR.

    Args:
        folder: Holds `poses.txt`, twelve numbers per scan (rows of P, camera to first camera), and
            `calib.txt` with a line `Tr:` (LiDAR to camera).

    Returns:
        (F, 4, 4) float64, Tr^-1 P Tr: LiDAR to first LiDAR, in metres.

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: A line that cannot be read, or no calibration.
    """
    path = _existing(Path(folder) / POSES_FILE, 'file')
    # A blank line between others stands where a pose is missing: dropped, it would shift the rest.
    lines = path.read_text(encoding='utf-8').rstrip().splitlines()
    camera = [_matrix(line, f'line {i + 1} of {path}') for i, line in enumerate(lines)]
    to_camera = _calibration(Path(folder) / CALIBRATION_FILE)
    return np.linalg.inv(to_camera) @ np.array(camera).reshape(-1, 4, 4) @ to_camera


def _sequence(folder: Path) -> list[ScanRecord]:
    """Records of one sequence in the order of the frames."""
    poses = read_poses(folder)
    labelled = {path.stem for path in (folder / 'labels').glob('*.label')}
    records = []
    for path in sorted((folder / 'velodyne').glob('*.bin')):
        if not path.stem.isdecimal():
            raise ValueError(f'Expected the number of a frame as name, but got {path}')
        frame = int(path.stem)
        if frame >= len(poses):
            raise ValueError(
                f'Expected a pose of {path} in line {frame + 1} of {folder / POSES_FILE}, '
                f'but got {len(poses)} lines'
            )
        label = str(folder / 'labels' / f'{path.stem}.label') if path.stem in labelled else None
        records.append(
            ScanRecord(
                name=f'{folder.name}/{path.stem}',
                sequence=folder.name,
                frame=frame,
                points_path=str(path),
                label_path=label,
                pose=poses[frame],
            )
        )
    return records


def _calibration(path: Path) -> np.ndarray:
    """(4, 4) float64, LiDAR to camera."""
    for line in _existing(path, 'file').read_text(encoding='utf-8').splitlines():
        key, _, values = line.partition(':')
        if key.strip() == 'Tr':
            return _matrix(values, f'line `Tr` of {path}')
    raise ValueError(f'Expected a line `Tr:` in {path}, but got none')


def _matrix(text: str, where: str) -> np.ndarray:
    """(4, 4) float64 from the twelve numbers of its first three rows."""
    try:
        rows = np.array(text.split(), np.float64).reshape(3, 4)
    except ValueError as error:
        raise ValueError(f'Expected twelve numbers in {where}, but got `{text}`') from error
    return np.vstack([rows, [0.0, 0.0, 0.0, 1.0]])


def _sequence_name(name: str | int) -> str:
    return f'{name:02d}' if isinstance(name, int) else str(name)


def _existing(path: Path, kind: str) -> Path:
    if not path.exists():
        raise FileNotFoundError(f'Expected the {kind} {path}, but there is none')
    return path
