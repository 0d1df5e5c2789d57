"""The one door to labels: dense label maps made from answers alone."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import numpy as np

from dense_al.structures import IGNORE, Answer, Manifest, Pixels


class Units(Protocol):
    """The units the samples of a manifest are divided into."""

    manifest: Manifest

    def map(self, sample: int) -> np.ndarray:
        """(H, W) int32 unit id of each pixel."""
        ...

    def sizes(self, sample: int) -> np.ndarray:
        """(R,) int64 pixels of each unit."""
        ...

    def digest(self, sample: int) -> str:
        """Hash of what `map` gives, by which a change is found."""
        ...

    def groups(self, sample: int) -> np.ndarray | None:
        """(R, k) int64 places, where several samples see the same ones; None where not."""
        ...

    def points(self, sample: int, world: bool = True) -> np.ndarray:
        """(N, 3) float32 x, y, z in metres of the points of a sample that is a scan."""
        ...


class WholeImages:
    """Every sample is one unit, whatever else it is divided into.

    Args:
        manifest: The samples.
        units: What else they are divided into; gives `points` of scans.
    """

    def __init__(self, manifest: Manifest, units: Units | None = None) -> None:
        self.manifest, self._units = manifest, units

    def map(self, sample: int) -> np.ndarray:
        """(H, W) int32 zeros."""
        return np.zeros(self.manifest.size(sample), np.int32)

    def sizes(self, sample: int) -> np.ndarray:
        """(1,) int64 pixels of the sample."""
        return self.manifest.areas[sample : sample + 1]

    def digest(self, sample: int) -> str:
        """Of the size, which is all that the map follows from."""
        return 'x'.join(map(str, self.manifest.size(sample)))

    def groups(self, sample: int) -> None:
        """No two samples show the same place."""

    def points(self, sample: int, world: bool = True) -> np.ndarray:
        """Those of the scan, see `RegionMaps.points`."""
        if self._units is None:
            raise ValueError('Expected scans, but got samples without points')
        return self._units.points(sample, world)


class UnitPixels:
    """The pixels of each unit of one map, in raster order.

    Args:
        unit_map: (H, W) integers, unit id of each pixel.
    """

    def __init__(self, unit_map: np.ndarray) -> None:
        flat = unit_map.ravel()
        self._order = np.argsort(flat, kind='stable')
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(flat))])

    def __getitem__(self, unit: int) -> np.ndarray:
        """(P,) int64 flat indices of the unit's pixels, ascending; none of one beyond the map."""
        if not 0 <= unit < len(self._starts) - 1:
            return self._order[:0]
        return self._order[self._starts[unit] : self._starts[unit + 1]]


class AnswerStore:
    """Label maps of samples: the class inside answered units, 255 everywhere else.

    Args:
        answers: Answers in force, oldest first; later ones are written over earlier ones.
        manifest: The samples.
        units: The units that region answers refer to.
        cache_bytes: Memory for label maps that were made already.
    """

    def __init__(
        self,
        answers: Sequence[Answer],
        manifest: Manifest,
        units: Units,
        cache_bytes: int = 256 << 20,
    ) -> None:
        self._by_sample: dict[int, list[Answer]] = defaultdict(list)
        for answer in answers:
            self._by_sample[answer.sample].append(answer)
        self._manifest, self._units = manifest, units
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cache_bytes, self._held = cache_bytes, 0

    @property
    def samples(self) -> list[int]:
        """Samples with an answer, ascending."""
        return sorted(self._by_sample)

    def dense_labels(self, sample: int) -> np.ndarray:
        """(H, W) uint8 labels of a sample, 255 where nothing was answered; a fresh copy.

        Raises:
            ValueError: A payload does not fit its unit: the units changed since the answer.
        """
        if sample in self._cache:
            self._cache.move_to_end(sample)
            return self._cache[sample].copy()
        labels = np.full(self._manifest.size(sample), IGNORE, np.uint8)
        flat, pixels = labels.ravel(), None
        answered = self._by_sample.get(sample, ())
        for kind, answers in groupby(answered, key=lambda answer: answer.kind):
            if kind == 'point':
                self._write_points(flat, list(answers))
                continue
            for answer in answers:
                payload = Pixels.decode(answer.payload).labels
                if kind == 'image':
                    self._check(answer, payload, flat.size)
                    flat[:] = payload
                    continue
                if pixels is None:
                    pixels = UnitPixels(self._units.map(sample))
                where = pixels[answer.unit]
                self._check(answer, payload, len(where))
                flat[where] = payload
        self._remember(sample, labels)
        return labels.copy()

    def _write_points(self, flat: np.ndarray, answers: list[Answer]) -> None:
        """Writes the classes of single pixels (unit = y * width + x) into (P,) labels."""
        units = np.array([answer.unit for answer in answers], np.int64)
        known = {p: Pixels.decode(p).labels for p in {a.payload for a in answers}}
        for answer in answers:
            self._check(answer, known[answer.payload], int(0 <= answer.unit < flat.size))
        flat[units] = [known[answer.payload][0] for answer in answers]

    def _check(self, answer: Answer, payload: np.ndarray, expected: int) -> None:
        if len(payload) != expected:
            name = self._manifest.names[answer.sample]
            raise ValueError(
                f'Expected {len(payload)} pixels in {answer.kind} {answer.unit} of `{name}`, as '
                f'when it was answered, but got {expected}: the units have changed since'
            )

    def _remember(self, sample: int, labels: np.ndarray) -> None:
        self._cache[sample] = labels
        self._held += labels.nbytes
        while self._held > self._cache_bytes and len(self._cache) > 1:
            self._held -= self._cache.popitem(last=False)[1].nbytes
