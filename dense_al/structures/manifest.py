"""The one list of all samples of a run."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True, eq=False)
class Manifest:
    """All samples of a run; the row number is the sample's index, the only index frame there is.

    Made from input files alone, never from annotations, so that it does not change with labels.

    Attributes:
        names: Unique name per sample, what users see (file name below its folder).
        paths: File of each sample.
        heights: (N,) int64, pixels; for a scan its number of points.
        widths: (N,) int64, pixels; 1 for a scan.
        domains: `target` or `source` per sample, target first.
        sequences: Name of the sequence a sample belongs to, '' for none.
        frames: (N,) int64 position within the sequence, 0 for none.
    """

    names: tuple[str, ...]
    paths: tuple[str, ...]
    heights: np.ndarray
    widths: np.ndarray
    domains: tuple[str, ...]
    sequences: tuple[str, ...]
    frames: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(lengths.values())) != 1:
            raise ValueError(f'Expected columns of one length, but got {lengths}')
        if len(set(self.names)) != len(self.names):
            seen: set[str] = set()
            twice = next(n for n in self.names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
            raise ValueError(f'Expected unique sample names, but `{twice}` comes twice')

    @classmethod
    def of_images(
        cls,
        names: Sequence[str],
        paths: Sequence[str],
        sizes: Sequence[tuple[int, int]],
        domain: str = 'target',
    ) -> 'Manifest':
        """A manifest of single images of one domain; `sizes` are (height, width) in pixels."""
        n = len(names)
        hw = np.asarray(sizes, np.int64).reshape(n, 2)
        return cls(
            names=tuple(names),
            paths=tuple(str(p) for p in paths),
            heights=hw[:, 0].copy(),
            widths=hw[:, 1].copy(),
            domains=(domain,) * n,
            sequences=('',) * n,
            frames=np.zeros(n, np.int64),
        )

    def __len__(self) -> int:
        return len(self.names)

    def with_source(self, source: 'Manifest') -> 'Manifest':
        """These samples, then those of a source domain, whose names get the prefix `source/`."""
        n = len(source)
        return Manifest(
            names=self.names + tuple(f'source/{name}' for name in source.names),
            paths=self.paths + source.paths,
            heights=np.concatenate([self.heights, source.heights]),
            widths=np.concatenate([self.widths, source.widths]),
            domains=self.domains + ('source',) * n,
            sequences=self.sequences + source.sequences,
            frames=np.concatenate([self.frames, source.frames]),
        )

    @cached_property
    def n_pool(self) -> int:
        """Samples of the target domain, which are the pool: indices below this."""
        return sum(domain == 'target' for domain in self.domains)

    @property
    def pool(self) -> np.ndarray:
        """(N,) int64 samples that may be asked."""
        return np.arange(self.n_pool, dtype=np.int64)

    @property
    def source(self) -> np.ndarray:
        """(S,) int64 samples of the source domain, labelled already."""
        return np.arange(self.n_pool, len(self), dtype=np.int64)

    @property
    def pool_elements(self) -> int:
        """Pixels or points of the pool."""
        return int(self.areas[: self.n_pool].sum())

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,) int64, pixels (or points) per sample."""
        return self.heights * self.widths

    def size(self, sample: int) -> tuple[int, int]:
        """Height and width of a sample in pixels."""
        return int(self.heights[sample]), int(self.widths[sample])

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """Names without suffix, different for each sample.

        Where several samples share one, each of them has `~` and its index behind it.
        """
        return _different([_stem(name) for name in self.names])

    @cached_property
    def file_names(self) -> tuple[str, ...]:
        """As `stems` for files in one folder: `a/b.png` becomes `a__b`."""
        return _different([_stem(name).replace(os.sep, '__') for name in self.names])

    def samples_of(self, name: str) -> list[int]:
        """The samples of a name, with or without suffix; without it, there may be several."""
        return self._samples_of.get(name, [])

    @cached_property
    def _samples_of(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i, name in enumerate(self.names):
            found.setdefault(_stem(name), []).append(i)
        # A whole name is that of one sample, whatever others are without their suffix.
        return {**found, **{name: [i] for i, name in enumerate(self.names)}}

    @cached_property
    def digest(self) -> str:
        """Hash over the names and sizes; equal digests mean equal index frames."""
        digest = hashlib.sha256()
        for name, height, width in zip(self.names, self.heights, self.widths):
            digest.update(f'{name}\0{height}\0{width}\n'.encode())
        return digest.hexdigest()[:16]

    def table(self) -> pa.Table:
        """The manifest as an Arrow table, one row per sample."""
        return pa.table(
            {
                'index': np.arange(len(self), dtype=np.int64),
                'name': list(self.names),
                'path': list(self.paths),
                'domain': list(self.domains),
                'sequence': list(self.sequences),
                'frame': self.frames,
                'height': self.heights,
                'width': self.widths,
            }
        )

    @classmethod
    def load(cls, path: Path | str) -> 'Manifest':
        """Reads `manifest.parquet`."""
        columns = pq.read_table(path).to_pydict()
        return cls(
            names=tuple(columns['name']),
            paths=tuple(columns['path']),
            heights=np.asarray(columns['height'], np.int64),
            widths=np.asarray(columns['width'], np.int64),
            domains=tuple(columns['domain']),
            sequences=tuple(columns['sequence']),
            frames=np.asarray(columns['frame'], np.int64),
        )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix(''))


def _different(names: list[str]) -> tuple[str, ...]:
    """The names, those that occur several times with `~` and their place in the list.

    >>> _different(['a', 'b', 'a'])
    ('a~0', 'b', 'a~2')
    """
    times = Counter(names)
    found = [n if times[n] == 1 else f'{n}~{i}' for i, n in enumerate(names)]
    if len(set(found)) < len(found):  # one of them was `name~1` before
        found = [f'{n}~{i}' for i, n in enumerate(names)]
    return tuple(found)
