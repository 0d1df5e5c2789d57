"""Data sets of LiDAR scans: what is known of each scan without reading it, and how to read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dense_al.datasets.images import UnreadableSampleError
from dense_al.datasets.label_map import LabelMap

_RIGID_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Scan:
    """One turn of a LiDAR.

    Attributes:
        points: (N, 3) float32 x, y, z in metres, in the frame of the sensor.
        intensity: (N,) float32 strength of the reflection; see the data set for its range.
        pose: (4, 4) float64, takes points of the sensor to the world of the scan's sequence.
        name: Unique name in the data set.
        sequence: Name of the sequence.
        frame: Number within the sequence.

    Raises:
        ValueError: Other shapes or dtypes.
    """

    points: np.ndarray
    intensity: np.ndarray
    pose: np.ndarray
    name: str
    sequence: str
    frame: int

    def __post_init__(self) -> None:
        n = len(self.points)
        expected = {'points': ((n, 3), 'float32'), 'intensity': ((n,), 'float32')}
        expected['pose'] = ((4, 4), 'float64')
        for field, (shape, dtype) in expected.items():
            value = getattr(self, field)
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(
                    f'Expected `{field}` of shape {shape} and dtype {dtype} of `{self.name}`, '
                    f'but got {value.shape} and {value.dtype}'
                )

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class ScanRecord:
    """What is known of a scan before it is read; plain values, cheap to send to a process.

    Attributes:
        name: Such as `08/000123`, unique in the data set.
        sequence: Such as `08`.
        frame: Number within the sequence, in the order of time.
        points_path: File of the points.
        label_path: File of the labels; None where there are none.
        pose: (4, 4) float64, takes points of the sensor to the world of the sequence, in metres.

    Raises:
        ValueError: A pose that does not turn and shift.
    """

    name: str
    sequence: str
    frame: int
    points_path: str
    label_path: str | None
    pose: np.ndarray

    def __post_init__(self) -> None:
        if not _is_rigid(self.pose):
            raise ValueError(
                f'Expected `pose` of `{self.name}` to be a rigid motion (4, 4) in float64, '
                f'but got {self.pose.tolist()} in {self.pose.dtype}'
            )


@dataclass(frozen=True)
class ScanFormat:
    """How files of points and labels are laid out; all numbers are little-endian.

    Attributes:
        columns: float32 values per point; x, y, z and intensity come first.
        brightest: Intensity in the file that becomes 1.
        label_bytes: Bytes of a label; of four, the lower two are the label.
    """

    columns: int
    brightest: float
    label_bytes: int

    def load_scan(self, record: ScanRecord) -> Scan:
        """Reads the points of a scan.

        Raises:
            UnreadableSampleError: A file is missing, empty, ends within a point, or has values
                that are not finite.
        """
        self.count(record)
        values = np.fromfile(record.points_path, '<f4').reshape(-1, self.columns)[:, :4]
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise UnreadableSampleError(
                f'Expected finite coordinates and intensities in {record.points_path}, but got '
                f'{values[~finite][0].tolist()} at point {int(finite.argmin())} '
                f'and {int((~finite).sum())} such points'
            )
        return Scan(
            points=np.ascontiguousarray(values[:, :3], np.float32),
            intensity=values[:, 3].astype(np.float32) / np.float32(self.brightest),
            pose=record.pose,
            name=record.name,
            sequence=record.sequence,
            frame=record.frame,
        )

    def count(self, record: ScanRecord) -> int:
        """Points of a scan, from the size of its file.

        Raises:
            UnreadableSampleError: The file is missing, empty or ends within a point.
        """
        size, each = _file_size(record.points_path), 4 * self.columns
        if size == 0 or size % each:
            raise UnreadableSampleError(
                f'Expected whole points of {each} bytes in {record.points_path}, '
                f'but got {size} bytes; is it a broken copy?'
            )
        return size // each


@dataclass(frozen=True, eq=False)
class ScanSource:
    """A data set of scans. Files are opened one by one, when they are asked for.

    Attributes:
        records: One per scan: sequence by sequence, each in the order of time.
        label_map: Which labels of the files are which classes.
        format: Layout of the files.

    Raises:
        ValueError: No scan at all, or a name that comes twice.
    """

    records: tuple[ScanRecord, ...]
    label_map: LabelMap
    format: ScanFormat

    def __post_init__(self) -> None:
        names = [record.name for record in self.records]
        if not names:
            raise ValueError('Expected at least one scan, but got none')
        if len(set(names)) != len(names):
            twice = sorted(names)
            same = next(a for a, b in zip(twice, twice[1:]) if a == b)
            raise ValueError(f'Expected unique names of scans, but `{same}` comes twice')

    def __len__(self) -> int:
        return len(self.records)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.label_map.classes

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """Red, green, blue of each class, 0 to 255."""
        return self.label_map.palette

    @cached_property
    def n_points(self) -> np.ndarray:
        """(S,) int64 points of each scan, from the sizes of the files.

        Raises:
            UnreadableSampleError: A file is missing, empty or ends within a point.
        """
        return np.array([self.format.count(record) for record in self.records], np.int64)

    @property
    def labelled(self) -> np.ndarray:
        """(S,) bool, whether a scan has a file of labels."""
        return np.array([record.label_path is not None for record in self.records])

    def load_scan(self, record: ScanRecord) -> Scan:
        """Reads the points of a scan.

        Raises:
            UnreadableSampleError: A file is missing, empty, ends within a point, or has values
                that are not finite.
        """
        return self.format.load_scan(record)

    def load_labels(self, record: ScanRecord) -> np.ndarray:
        """Reads the classes of a scan's points.

        Returns:
            (N,) uint8 class indices, 255 where a point has none.

        Raises:
            UnreadableSampleError: There is no file of labels, it has not one label for each point,
                or labels that the label map does not have.
        """
        if record.label_path is None:
            raise UnreadableSampleError(f'Expected labels of `{record.name}`, but it has none')
        expected = self.format.count(record)
        size, each = _file_size(record.label_path), self.format.label_bytes
        if size != expected * each:
            raise UnreadableSampleError(
                f'Expected {expected} labels of {each} bytes in {record.label_path}, one for each '
                f'point of {record.points_path}, but got {size / each:g}'
            )
        raw = np.fromfile(record.label_path, f'<u{each}').astype(np.uint16)  # drops the instance
        try:
            return self.label_map.apply(raw)
        except ValueError as error:
            raise UnreadableSampleError(f'{error} of {record.label_path}') from error


def _is_rigid(pose: np.ndarray) -> bool:
    if pose.shape != (4, 4) or pose.dtype != np.float64 or not np.isfinite(pose).all():
        return False
    turn = pose[:3, :3]
    return bool(np.abs(turn @ turn.T - np.eye(3)).max() <= _RIGID_TOLERANCE)


def chosen_sequences(
    present: Sequence[str], wanted: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    """The wanted sequences in the order of their names; all of them for None.

    Raises:
        ValueError: One is not there, or comes twice, or none is wanted.
    """
    names = sorted(present if wanted is None else wanted)
    missing = [name for name in names if name not in set(present)]
    if missing or not names or len(set(names)) != len(names):
        raise ValueError(
            f'Expected sequences of {where}, each once ({", ".join(sorted(present)) or "none"}), '
            f'but got {", ".join(missing or names) or "none"}'
        )
    return tuple(names)


def _file_size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError as error:
        raise UnreadableSampleError(f'Could not read {path}: {error}') from error
