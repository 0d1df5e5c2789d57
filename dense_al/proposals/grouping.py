"""Hierarchical grouping: regions of an image, merged pair by pair until one is left.

Uijlings et al., Selective Search for Object Recognition, IJCV 2013.
"""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np

COLOUR_BINS, TEXTURE_BINS = 25, 10
_AXES = np.deg2rad([0, 45, 90, 135])


class Start(NamedTuple):
    """The regions that grouping begins with, R of them.

    Attributes:
        histograms: (R, B) float32, colour then texture; each of the two parts sums to 1.
        n_colour: How many of the B bins are colour.
        sizes: (R,) float64 pixels.
        boxes: (R, 4) float64 x1, y1, x2, y2 in pixels, ends excluded.
        edges: (E, 2) int64 ids of regions that share a border, first < second, sorted.
        area: Pixels of the image.
    """

    histograms: np.ndarray
    n_colour: int
    sizes: np.ndarray
    boxes: np.ndarray
    edges: np.ndarray
    area: int


def describe_regions(image: np.ndarray, labels: np.ndarray) -> Start:
    """Measures colour, texture, size, box and neighbours of all regions at once.

    Texture is a histogram of derivatives along four axes, signed, so that it tells eight
    directions apart as the published one does.

    Args:
        image: (H, W, 3) float32, colours in [0, 1].
        labels: (H, W) int, ids 0 to R-1, each of them present.
    """
    flat = labels.ravel()
    sizes = np.bincount(flat).astype(np.float64)
    colour = np.clip(image * COLOUR_BINS, 0, COLOUR_BINS - 1).astype(np.int32)
    texture = _texture_bins(image)
    parts = [
        _histograms(flat, bins, count, sizes)
        for bins, count in ((colour, COLOUR_BINS), (texture, 2 * TEXTURE_BINS - 1))
    ]
    return Start(
        np.hstack(parts), parts[0].shape[1], sizes, _boxes(labels), _edges(labels), labels.size
    )


def _texture_bins(image: np.ndarray) -> np.ndarray:
    """(H, W, 12) int32: strength of the derivative along each axis in each channel."""
    dy, dx = np.zeros_like(image), np.zeros_like(image)
    dy[1:-1] = image[2:] - image[:-2]
    dx[:, 1:-1] = image[:, 2:] - image[:, :-2]
    most = max(float(np.abs(dx).max()), float(np.abs(dy).max()), 1e-6)
    scale = np.float32(TEXTURE_BINS / most)
    bins = []
    for angle in _AXES:
        along = dx * (scale * np.float32(np.cos(angle))) + dy * (scale * np.float32(np.sin(angle)))
        bins.append(along.astype(np.int32))
    top = TEXTURE_BINS - 1
    return np.clip(np.concatenate(bins, axis=2), -top, top) + top


def _histograms(flat: np.ndarray, bins: np.ndarray, count: int, sizes: np.ndarray) -> np.ndarray:
    """(R, C * count) float32: per region the share of each bin of each channel; rows sum to 1."""
    channels = bins.shape[2]
    n = len(sizes)
    found = np.empty((n, channels, count), np.float32)
    for c in range(channels):
        codes = flat * count + bins[..., c].ravel()
        found[:, c] = np.bincount(codes, minlength=n * count).reshape(n, count)
    found /= (sizes * channels)[:, None, None]
    return found.reshape(n, -1)


def _boxes(labels: np.ndarray) -> np.ndarray:
    """(R, 4) float64 x1, y1, x2, y2 around each region, ends excluded."""
    height, width = labels.shape
    n = int(labels.max()) + 1
    inside = np.zeros((2, n, max(height, width)), bool)
    ys, xs = np.indices(labels.shape)
    inside[0, labels, xs] = True
    inside[1, labels, ys] = True
    first, last = inside.argmax(axis=2), inside.shape[2] - inside[..., ::-1].argmax(axis=2)
    return np.stack([first[0], first[1], last[0], last[1]], axis=1).astype(np.float64)


def _edges(labels: np.ndarray) -> np.ndarray:
    """(E, 2) pairs of regions with a common border, each once."""
    n = int(labels.max()) + 1
    codes = []
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        differ = a != b
        a, b = a[differ].astype(np.int64), b[differ].astype(np.int64)
        codes.append(np.minimum(a, b) * n + np.maximum(a, b))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), n), axis=1)


def group_regions(start: Start, *, colour: bool = True) -> np.ndarray:
    """Merges the two most similar neighbours until a single region is left.

    Similarity is the sum of four terms in [0, 1]: histogram intersection of colour and of
    texture, smallness of both regions, and how well they fill their common box.

    Args:
        start: The regions.
        colour: Whether colour counts.

    Returns:
        (2R-1, 4) float64 boxes of all regions of all levels: those of `start`, then each union in
        the order of merging. The last one is the whole image.
    """
    return _Grouping(start, colour).run()


class _Grouping:
    """Regions with their neighbours and a heap of similarities, as merging goes on."""

    def __init__(self, start: Start, colour: bool) -> None:
        count = len(start.sizes)
        room = 2 * count - 1
        used = start.histograms if colour else start.histograms[:, start.n_colour :]
        self.histograms = np.empty((room, used.shape[1]), np.float32)
        self.sizes, self.boxes = np.empty(room), np.empty((room, 4))
        self.histograms[:count] = used
        self.sizes[:count], self.boxes[:count] = start.sizes, start.boxes
        self.count, self.room, self.area = count, room, float(start.area)
        self.neighbours: list[set[int]] = [set() for _ in range(room)]
        for a, b in start.edges.tolist():
            self.neighbours[a].add(b)
            self.neighbours[b].add(a)
        similar = self._similarity(start.edges[:, 0], start.edges[:, 1])
        self.heap = [(-s, a, b) for s, (a, b) in zip(similar.tolist(), start.edges.tolist())]
        heapify(self.heap)
        self.alive = [True] * room

    def run(self) -> np.ndarray:
        """Merges until one region is left."""
        while self.count < self.room:
            _, a, b = heappop(self.heap)
            if self.alive[a] and self.alive[b]:
                self._merge(a, b)
        return self.boxes

    def _merge(self, a: int, b: int) -> None:
        new = self.count
        size_a, size_b = self.sizes[a], self.sizes[b]
        whole = size_a + size_b
        self.sizes[new] = whole
        share = np.float32(size_a / whole)
        self.histograms[new] = share * self.histograms[a] + (1 - share) * self.histograms[b]
        np.minimum(self.boxes[a, :2], self.boxes[b, :2], out=self.boxes[new, :2])
        np.maximum(self.boxes[a, 2:], self.boxes[b, 2:], out=self.boxes[new, 2:])
        self.alive[a] = self.alive[b] = False
        near = (self.neighbours[a] | self.neighbours[b]) - {a, b}
        self.neighbours[new] = near
        self.neighbours[a] = self.neighbours[b] = set()
        self.count += 1
        if not near:
            return
        for other in near:
            # Dead neighbours are dropped here, so that the sets stay small.
            self.neighbours[other] -= {a, b}
            self.neighbours[other].add(new)
        order = sorted(near)
        similar = self._similarity(np.array(order), np.array([new]))
        for other, value in zip(order, similar.tolist()):
            heappush(self.heap, (-value, other, new))

    def _similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(E,) similarity of regions `first` to `second`, of which there may be one for all."""
        overlap = np.minimum(self.histograms[first], self.histograms[second]).sum(axis=1)
        a, b = self.boxes[first], self.boxes[second]
        sides = np.maximum(a[:, 2:], b[:, 2:]) - np.minimum(a[:, :2], b[:, :2])
        # Smallness 1 - both / area and fill 1 - (box - both) / area; what both cover cancels out.
        return overlap + (2 - sides[:, 0] * sides[:, 1] / self.area)
