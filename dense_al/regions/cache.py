"""Region maps of many images: computed in parallel, kept on disk and in memory."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dense_al.machine import cores
from dense_al.progress import bar
from dense_al.regions.base import Regions, check_integer
from dense_al.regions.grid import SizeRegions
from dense_al.regions.images import ImageError, ImageSource, image_size, read_image
from dense_al.regions.parallel import run_all
from dense_al.regions.store import Summary, read_map, read_summary, summary_of, write_map

if TYPE_CHECKING:  # structures import torch, which would cost each process seconds
    from dense_al.structures import Manifest

Size = tuple[int, int]


class RegionMaps:
    """The region maps of named images, each computed once.

    A map is kept under `cache_dir` by the class and parameters of `regions`, the versions of the
    libraries it depends on, the image's name and its size. A change of an image's content under
    the same name and size goes unseen; a new folder or a new name makes a new map. Damaged files
    of the cache are computed again. `Grid` and `Image` are computed from the size and touch no
    file.

    Wherever a method takes `source` and `size`, they may be left out for a name that was given
    with them before, to `prepare` or another method.

    Args:
        regions: How an image is divided.
        cache_dir: Folder of the cache, shared by any number of runs and processes; None where
            `regions` need no image.
        memory_bytes: Memory for maps that were read already, oldest use dropped first.

    Raises:
        ValueError: No folder, though `regions` need images.
    """

    def __init__(
        self,
        regions: Regions,
        cache_dir: Path | str | None = None,
        *,
        memory_bytes: int = 256 << 20,
    ) -> None:
        if cache_dir is None and not isinstance(regions, SizeRegions):
            raise ValueError(f'Expected `cache_dir` to be a folder for {regions}, but got None')
        self.regions = regions
        self.key = regions.key
        self._folder = Path(cache_dir or '.') / f'{type(regions).__name__}-{self.key}'
        self._memory_bytes = check_integer('memory_bytes', memory_bytes, 0)
        self._known: dict[str, tuple[ImageSource | None, Size]] = {}
        self._summaries: dict[tuple[str, Size], Summary] = {}
        self._maps: OrderedDict[tuple[str, Size], np.ndarray] = OrderedDict()
        self._held = 0

    def map(
        self, name: str, source: ImageSource | None = None, size: Size | None = None
    ) -> np.ndarray:
        """The region of each pixel, from memory, disk or the image.

        Args:
            name: Unique name of the image.
            source: Its path, or a function that returns it as (H, W, 3) uint8 RGB.
            size: Its height and width in pixels; read from the file if left out.

        Returns:
            (H, W) int32, ids 0 to R-1, read-only.

        Raises:
            FileNotFoundError: There is no such image.
            ImageError: The image is damaged, or its size is not `size`.
            ValueError: `source` was never given, though it is needed.
        """
        source, size = self._resolve(name, source, size)
        if (name, size) in self._maps:
            self._maps.move_to_end((name, size))
            return self._maps[name, size]
        if isinstance(self.regions, SizeRegions):
            labels = self.regions.map_of_size(*size)
        else:
            path = self._path(name, size)
            stored = read_map(path)
            if stored is None or stored[0].shape != size:
                stored = _computed(self.regions, name, source, size, path)
            labels, self._summaries[name, size] = stored
        self._remember((name, size), labels)
        return labels

    def sizes(
        self, name: str, source: ImageSource | None = None, size: Size | None = None
    ) -> np.ndarray:
        """(R,) int64 pixels of each region; reads no map where its summary is stored."""
        source, size = self._resolve(name, source, size)
        if isinstance(self.regions, SizeRegions):
            return self.regions.sizes_of(*size)
        return self._summary(name, source, size).sizes

    def digest(self, name: str, source: ImageSource | None = None, size: Size | None = None) -> str:
        """Hash of the map's content, to be recorded with what was answered about its regions."""
        source, size = self._resolve(name, source, size)
        if isinstance(self.regions, SizeRegions):  # they follow from this, without a map
            return hashlib.sha256(f'{self.key} {size}'.encode()).hexdigest()[:16]
        return self._summary(name, source, size).digest

    def prepare(
        self,
        samples: Sequence[tuple[str, str | Path] | tuple[str, str | Path, Size]],
        *,
        workers: int | None = None,
        progress: bool = True,
    ) -> int:
        """Computes the maps that are not there yet, in processes of one thread each.

        Processes are spawned, so a script that calls this needs the usual
        ``if __name__ == '__main__'``.

        Args:
            samples: Name, path and, if known, (height, width) in pixels of each image.
            workers: Processes; 0 for none, None for one per available core.
            progress: Whether to show a bar with the time that is left.

        Returns:
            How many maps were computed.

        Raises:
            FileNotFoundError: An image is missing.
            ImageError: An image is damaged; maps computed before remain.
            ValueError: Two samples of one name.
        """
        if len({sample[0] for sample in samples}) != len(samples):
            raise ValueError('Expected `samples` of different names, but got some twice')
        if workers is None:
            workers = cores()
        check_integer('workers', workers, 0)
        tasks = []
        for name, image, *known in samples:
            source, size = self._resolve(name, image, known[0] if known else None)
            path = self._path(name, size)
            if not isinstance(self.regions, SizeRegions) and not path.is_file():
                tasks.append((self.regions, name, source, size, path))
        finished = run_all(_compute, tasks, workers)
        title = f'{type(self.regions).__name__} of images'
        for task, summary in bar(finished, title, len(tasks), progress):
            self._summaries[task[1], task[3]] = summary
        return len(tasks)

    def _resolve(
        self, name: str, source: ImageSource | None, size: Size | None
    ) -> tuple[ImageSource | None, Size]:
        """Source and size as given, or else as given before, or else as the file says."""
        known_source, known_size = self._known.get(name, (None, None))
        if source is None:
            source = known_source
        elif source != known_source and known_source is not None:
            known_size = None
        size = size or known_size
        if size is None:
            if source is None:
                raise ValueError(f'Expected the image of `{name}` or its size, but got neither')
            size = image_size(source)
        size = (int(size[0]), int(size[1]))
        self._known[name] = (source, size)
        return source, size

    def _summary(self, name: str, source: ImageSource | None, size: Size) -> Summary:
        if (name, size) not in self._summaries:
            stored = None
            if not isinstance(self.regions, SizeRegions):
                stored = read_summary(self._path(name, size))
            if stored is None:
                labels = self.map(name, source, size)
                stored = self._summaries.get((name, size)) or summary_of(labels)
            self._summaries[name, size] = stored
        return self._summaries[name, size]

    def _path(self, name: str, size: Size) -> Path:
        digest = hashlib.sha256(name.encode()).hexdigest()[:24]
        return self._folder / digest[:2] / f'{digest}-{size[0]}x{size[1]}.npz'

    def _remember(self, key: tuple[str, Size], labels: np.ndarray) -> None:
        labels.setflags(write=False)
        self._maps[key] = labels
        self._held += labels.nbytes
        while self._held > self._memory_bytes and self._maps:
            self._held -= self._maps.popitem(last=False)[1].nbytes


class SampleRegions:
    """Region maps by sample, the index into a manifest.

    Args:
        maps: The maps by name.
        manifest: The samples.
    """

    def __init__(self, maps: RegionMaps, manifest: 'Manifest') -> None:
        self.maps, self.manifest = maps, manifest

    def map(self, sample: int) -> np.ndarray:
        """(H, W) int32 region of each pixel, read-only."""
        return self.maps.map(*self._arguments(sample))

    def sizes(self, sample: int) -> np.ndarray:
        """(R,) int64 pixels of each region."""
        return self.maps.sizes(*self._arguments(sample))

    def digest(self, sample: int) -> str:
        """Hash of the map's content."""
        return self.maps.digest(*self._arguments(sample))

    def prepare(
        self,
        samples: Iterable[int] | None = None,
        *,
        workers: int | None = None,
        progress: bool = True,
    ) -> int:
        """Computes the maps of samples (None: of all), see `RegionMaps.prepare`."""
        which = range(len(self.manifest)) if samples is None else samples
        named = [self._arguments(int(sample)) for sample in which]
        return self.maps.prepare(named, workers=workers, progress=progress)

    def _arguments(self, sample: int) -> tuple[str, str, Size]:
        manifest = self.manifest
        return manifest.names[sample], manifest.paths[sample], manifest.size(sample)


def _computed(
    regions: Regions, name: str, source: ImageSource | None, size: Size, path: Path
) -> tuple[np.ndarray, Summary]:
    """Reads the image, divides it and stores the map."""
    if source is None:
        raise ValueError(f'Expected the image of `{name}`, whose map is not in {path.parent}')
    image = read_image(source)
    if image.shape[:2] != size:
        where = name if callable(source) else source
        raise ImageError(
            f'Expected `{where}` of height and width {size}, but got {image.shape[:2]}'
        )
    labels = regions.map(image)
    return labels, write_map(path, labels)


def _compute(
    regions: Regions, name: str, source: ImageSource | None, size: Size, path: Path
) -> Summary:
    return _computed(regions, name, source, size, path)[1]
