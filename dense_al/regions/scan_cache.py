"""Region maps of LiDAR scans, kept on disk and in memory, and where their points lie."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dense_al.machine import cores
from dense_al.progress import bar
from dense_al.regions.base import check_integer
from dense_al.regions.grid import Image
from dense_al.regions.parallel import run_all
from dense_al.regions.scan_base import ScanRegions, world_of
from dense_al.regions.store import Summary, read_map, read_summary, summary_of, write_map
from dense_al.regions.world_cells import WorldCells

if TYPE_CHECKING:  # structures import torch, which would cost each process seconds
    from dense_al.structures import Manifest


class Scans(Protocol):
    """Where points come from, such as a `dense_al.datasets.scans.ScanSource`."""

    @property
    def records(self) -> Sequence[Any]:
        """One per sample of the manifest, with the scan's `name` and `pose`.

        A pose is (4, 4) float64, from the sensor to the world of the sequence.
        """
        ...

    @property
    def format(self) -> Any:
        """What reads a scan: `load_scan(record).points`, (N, 3) float32 metres, of the sensor."""
        ...


class ScanMaps:
    """The region maps of scans, each computed once.

    A map is kept under `cache_dir` by the class and parameters of `regions`, the versions of the
    libraries it depends on, the scan's name and its number of points, and its pose where that
    matters. A change of a scan's content under the same name and size goes unseen. Damaged files
    of the cache are computed again.

    Args:
        regions: How a scan is divided; `Image` for one region per scan, which touches no file.
        scans: Where points come from.
        counts: (S,) int64 points of each scan.
        cache_dir: Folder of the cache, shared by any number of runs and processes.
        memory_bytes: Memory for maps that were read already, oldest use dropped first.
    """

    def __init__(
        self,
        regions: ScanRegions | Image,
        scans: Scans,
        counts: np.ndarray,
        cache_dir: Path | str,
        *,
        memory_bytes: int = 256 << 20,
    ) -> None:
        self.regions, self.scans, self._counts = regions, scans, counts
        self.key = regions.key
        self._folder = Path(cache_dir) / f'{type(regions).__name__}-{self.key}'
        self._memory_bytes = check_integer('memory_bytes', memory_bytes, 0)
        self._summaries: dict[int, Summary] = {}
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()
        self._held = 0

    def map(self, sample: int) -> np.ndarray:
        """(N, 1) int32 region of each point, ids 0 to R-1, read-only.

        Raises:
            ValueError: The scan cannot be read, or is not as long as the manifest says.
        """
        if sample in self._maps:
            self._maps.move_to_end(sample)
            return self._maps[sample]
        if isinstance(self.regions, Image):
            labels = np.zeros((int(self._counts[sample]), 1), np.int32)
        else:
            path = self._path(sample)
            stored = read_map(path)
            if stored is None or stored[0].shape != (self._counts[sample], 1):
                stored = _computed(*self._task(sample))
            labels, self._summaries[sample] = stored
        self._remember(sample, labels)
        return labels

    def sizes(self, sample: int) -> np.ndarray:
        """(R,) int64 points of each region; reads no map where its summary is stored."""
        if isinstance(self.regions, Image):
            return self._counts[sample : sample + 1].copy()
        return self._summary(sample).sizes

    def digest(self, sample: int) -> str:
        """Hash of the map's content, to be recorded with what was answered about its regions."""
        return self._summary(sample).digest

    def prepare(
        self, samples: Iterable[int], *, workers: int | None = None, progress: bool = True
    ) -> int:
        """Computes the maps that are not there yet, in processes of one thread each.

        Args:
            samples: Which scans.
            workers: Processes; 0 for none, None for one per available core.
            progress: Whether to show a bar with the time that is left.

        Returns:
            How many maps were computed.

        Raises:
            ValueError: A scan cannot be read; maps computed before remain.
        """
        if isinstance(self.regions, Image):
            return 0
        if workers is None:
            workers = cores()
        missing = [int(s) for s in samples if not self._path(int(s)).is_file()]
        tasks = [self._task(sample) for sample in missing]
        finished = run_all(_computed_elsewhere, tasks, check_integer('workers', workers, 0))
        title = f'{type(self.regions).__name__} of scans'
        for _ in bar(finished, title, len(tasks), progress):
            pass
        return len(tasks)

    def _task(self, sample: int) -> tuple[ScanRegions | Image, Any, Any, int, Path]:
        record = self.scans.records[sample]
        count = int(self._counts[sample])
        return self.regions, self.scans.format, record, count, self._path(sample)

    def _summary(self, sample: int) -> Summary:
        if sample not in self._summaries:
            stored = None
            if not isinstance(self.regions, Image):
                stored = read_summary(self._path(sample))
            if stored is None or stored.sizes.sum() != self._counts[sample]:
                labels = self.map(sample)
                stored = self._summaries.get(sample) or summary_of(labels)
            self._summaries[sample] = stored
        return self._summaries[sample]

    def _path(self, sample: int) -> Path:
        record = self.scans.records[sample]
        name = hashlib.sha256(record.name.encode())
        if getattr(self.regions, 'needs_pose', False):
            name.update(np.ascontiguousarray(record.pose, '<f8').tobytes())
        digest = name.hexdigest()[:24]
        return self._folder / digest[:2] / f'{digest}-{self._counts[sample]}.npz'

    def _remember(self, sample: int, labels: np.ndarray) -> None:
        labels.setflags(write=False)
        self._maps[sample] = labels
        self._held += labels.nbytes
        while self._held > self._memory_bytes and self._maps:
            self._held -= self._maps.popitem(last=False)[1].nbytes


class ScanUnits:
    """Units of scans by sample, the index into a manifest, and where they lie.

    Args:
        maps: The maps.
        manifest: The samples.
    """

    def __init__(self, maps: ScanMaps, manifest: 'Manifest') -> None:
        self.maps, self.manifest = maps, manifest
        self._groups: dict[int, np.ndarray] = {}  # a few numbers per region

    def map(self, sample: int) -> np.ndarray:
        """(N, 1) int32 region of each point, read-only."""
        return self.maps.map(sample)

    def sizes(self, sample: int) -> np.ndarray:
        """(R,) int64 points of each region."""
        return self.maps.sizes(sample)

    def digest(self, sample: int) -> str:
        """Hash of the map's content."""
        return self.maps.digest(sample)

    def points(self, sample: int) -> np.ndarray:
        """(N, 3) float32 x, y, z in metres in the world of the sample's sequence; read anew."""
        points, pose = self._scan(sample)
        return world_of(points, pose).astype(np.float32)

    def centres(self, sample: int) -> np.ndarray:
        """(R, 3) float64 means of the regions' points, metres in the world of the sequence."""
        return mean_places(self.points(sample), self.map(sample), len(self.sizes(sample)))

    def groups(self, sample: int) -> np.ndarray | None:
        """(R, k) int64 what place each unit stands for, the same in all frames of the sequence.

        None where units belong to one scan alone.
        """
        if not isinstance(self.maps.regions, WorldCells):
            return None
        if sample not in self._groups:
            self._groups[sample] = self.maps.regions.cells(*self._scan(sample))
        return self._groups[sample]

    def prepare(
        self,
        samples: Iterable[int] | None = None,
        *,
        workers: int | None = None,
        progress: bool = True,
    ) -> int:
        """Computes the maps of samples (None: of all), see `ScanMaps.prepare`."""
        which = range(len(self.manifest)) if samples is None else samples
        return self.maps.prepare(which, workers=workers, progress=progress)

    def _scan(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """Points in the frame of the sensor, and the pose."""
        record = self.maps.scans.records[sample]
        return self.maps.scans.format.load_scan(record).points, record.pose


def mean_places(points: np.ndarray, unit_map: np.ndarray, n_units: int) -> np.ndarray:
    """Centres of units.

    Args:
        points: (N, 3) in metres.
        unit_map: (N, 1) unit of each point.
        n_units: Number of units R, each with a point.

    Returns:
        (R, 3) float64.
    """
    ids = unit_map.ravel()
    sums = [np.bincount(ids, points[:, axis], n_units) for axis in range(3)]
    return np.stack(sums, axis=1) / np.bincount(ids, minlength=n_units)[:, None]


def _computed(
    regions: Any, form: Any, record: Any, count: int, path: Path
) -> tuple[np.ndarray, Summary]:
    """Reads the scan, divides it and stores the map."""
    points = form.load_scan(record).points
    if len(points) != count:
        raise ValueError(f'Expected {count} points in `{record.name}`, but got {len(points)}')
    labels = regions.map(points, record.pose)[:, None]
    return labels, write_map(path, labels)


def _computed_elsewhere(*task: Any) -> None:
    _computed(*task)
