"""Region maps of a run's samples: computed in parallel, kept on disk and in memory."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dense_al.machine import cores
from dense_al.progress import bar
from dense_al.regions.base import Regions, check_integer
from dense_al.regions.grid import SizeRegions
from dense_al.regions.inputs import ImageInput, ScanInput, Scans
from dense_al.regions.parallel import run_all
from dense_al.regions.scan_base import ScanRegions, world_of
from dense_al.regions.store import Summary, read_map, read_summary, summary_of, write_map
from dense_al.regions.world_cells import WorldCells

if TYPE_CHECKING:  # structures import torch, which would cost each process seconds
    from dense_al.structures import Manifest


class RegionMaps:
    """The region maps of images or scans, each computed once; samples are rows of the manifest.

    A map is kept under `cache_dir` by the class and parameters of `regions`, the versions of the
    libraries it depends on, the sample's name and its size, and a scan's pose where that matters.
    A change of content under the same name and size goes unseen; a new folder or a new name makes
    a new map. Damaged files of the cache are computed again. `Grid` and `Image` are computed from
    the size and touch no file.

    Args:
        regions: How a sample is divided.
        manifest: The samples.
        cache_dir: Folder of the cache, shared by any number of runs and processes.
        scans: Where the points of the samples come from; None for images.
        memory_bytes: Memory for maps that were read already, oldest use dropped first.
    """

    def __init__(
        self,
        regions: Regions | ScanRegions,
        manifest: 'Manifest',
        cache_dir: Path | str,
        scans: Scans | None = None,
        *,
        memory_bytes: int = 256 << 20,
    ) -> None:
        self.regions, self.manifest, self.key = regions, manifest, regions.key
        self._scans = scans
        self._folder = Path(cache_dir) / f'{type(regions).__name__}-{self.key}'
        self._memory_bytes = check_integer('memory_bytes', memory_bytes, 0)
        self._summaries: dict[int, Summary] = {}
        self._groups: dict[int, np.ndarray] = {}  # a few numbers per region
        self._maps: OrderedDict[int, np.ndarray] = OrderedDict()
        self._held = 0

    def map(self, sample: int) -> np.ndarray:
        """The region of each pixel or point, from memory, disk or the sample itself.

        Returns:
            (H, W) int32, of a scan (N, 1), ids 0 to R-1, read-only.

        Raises:
            FileNotFoundError: There is no such image.
            ValueError: The sample cannot be read, or its size is not that of the manifest; of an
                image an `ImageError`.
        """
        if sample in self._maps:
            self._maps.move_to_end(sample)
            return self._maps[sample]
        size = self.manifest.size(sample)
        if isinstance(self.regions, SizeRegions):
            labels = self.regions.map_of_size(*size)
        else:
            stored = read_map(self._path(sample))
            if stored is None or stored[0].shape != size:
                stored = _computed(self.regions, self._input(sample), self._path(sample))
            labels, self._summaries[sample] = stored
        self._remember(sample, labels)
        return labels

    def sizes(self, sample: int) -> np.ndarray:
        """(R,) int64 pixels or points of each region; reads no map where its summary is stored."""
        if isinstance(self.regions, SizeRegions):
            return self.regions.sizes_of(*self.manifest.size(sample))
        return self._summary(sample).sizes

    def digest(self, sample: int) -> str:
        """Hash of the map's content, to be recorded with what was answered about its regions."""
        if not isinstance(self.regions, SizeRegions):
            return self._summary(sample).digest
        if self._scans is not None:
            return summary_of(self.map(sample)).digest
        content = f'{self.key} {self.manifest.size(sample)}'  # what the map follows from
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def points(self, sample: int, world: bool = True) -> np.ndarray:
        """(N, 3) float32 x, y, z of a scan in metres; read anew.

        Args:
            sample: A scan.
            world: Whether in the world of its sequence, else in the frame of the sensor.
        """
        scan = self._scan(sample)
        points = scan.points()
        return world_of(points, scan.record.pose).astype(np.float32) if world else points

    def groups(self, sample: int) -> np.ndarray | None:
        """(R, k) int64 what place each region stands for, the same in all frames of the sequence.

        None where regions belong to one sample alone.
        """
        if not isinstance(self.regions, WorldCells):
            return None
        if sample not in self._groups:
            scan = self._scan(sample)
            self._groups[sample] = self.regions.cells(scan.points(), scan.record.pose)
        return self._groups[sample]

    def prepare(
        self,
        samples: Iterable[int] | None = None,
        *,
        workers: int | None = None,
        progress: bool = True,
    ) -> int:
        """Computes the maps that are not there yet, in processes of one thread each.

        Processes are spawned, so a script that calls this needs the usual
        ``if __name__ == '__main__'``.

        Args:
            samples: Which samples; None for all.
            workers: Processes; 0 for none, None for one per available core.
            progress: Whether to show a bar with the time that is left.

        Returns:
            How many maps were computed.

        Raises:
            FileNotFoundError: An image is missing.
            ValueError: As of `map`; maps computed before remain.
        """
        workers = check_integer('workers', cores() if workers is None else workers, 0)
        if isinstance(self.regions, SizeRegions):
            return 0
        which = range(len(self.manifest)) if samples is None else samples
        paths = {int(sample): self._path(int(sample)) for sample in which}
        tasks = [
            (self.regions, self._input(sample), path)
            for sample, path in paths.items()
            if not path.is_file()
        ]
        finished = run_all(_computed_elsewhere, tasks, workers)
        kind = 'images' if self._scans is None else 'scans'
        title = f'{type(self.regions).__name__} of {kind}'
        for _ in bar(finished, title, len(tasks), progress):
            pass
        return len(tasks)

    def _input(self, sample: int) -> ImageInput | ScanInput:
        if self._scans is not None:
            return self._scan(sample)
        manifest = self.manifest
        return ImageInput(manifest.names[sample], manifest.paths[sample], manifest.size(sample))

    def _scan(self, sample: int) -> ScanInput:
        if self._scans is None:
            raise ValueError(
                f'Expected a scan, which has points, but `{self.manifest.names[sample]}` is none'
            )
        count = self.manifest.size(sample)[0]
        return ScanInput(self._scans.records[sample], self._scans.format, count)

    def _path(self, sample: int) -> Path:
        return self._folder / self._input(sample).file_name(self.regions)

    def _summary(self, sample: int) -> Summary:
        if sample not in self._summaries:
            height, width = self.manifest.size(sample)
            stored = read_summary(self._path(sample))
            if stored is not None and stored.sizes.sum() == height * width:
                self._summaries[sample] = stored
            else:
                self.map(sample)  # which keeps its summary
        return self._summaries[sample]

    def _remember(self, sample: int, labels: np.ndarray) -> None:
        labels.setflags(write=False)
        self._maps[sample] = labels
        self._held += labels.nbytes
        while self._held > self._memory_bytes and self._maps:
            self._held -= self._maps.popitem(last=False)[1].nbytes


def _computed(regions: Any, given: Any, path: Path) -> tuple[np.ndarray, Summary]:
    """Reads the image or scan, divides it and stores the map."""
    labels = given.divided(regions)
    return labels, write_map(path, labels)


def _computed_elsewhere(regions: Any, given: Any, path: Path) -> None:
    _computed(regions, given, path)  # the map stays in the process
