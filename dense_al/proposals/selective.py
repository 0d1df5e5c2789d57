"""Box proposals for images that come without any: Selective Search, and windows on a grid.

Uijlings et al., Selective Search for Object Recognition, IJCV 2013. Regions of Felzenszwalb and
Huttenlocher (IJCV 2004) in a few colour spaces are merged by similarity; the boxes of all regions
of all levels are the proposals.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2hsv, rgb2lab
from skimage.segmentation import felzenszwalb

from dense_al.proposals.grouping import describe_regions, group_regions
from dense_al.proposals.overlaps import distinct_boxes
from dense_al.regions.base import check_image, check_integer, check_number
from dense_al.registry import nearest

COLOURS = ('hsv', 'lab', 'rgb')
STEP = 1 / 3  # of a window's side


@dataclass(frozen=True)
class ProposalSpec:
    """How proposals are made.

    Attributes:
        colours: Colour spaces to start from, of `hsv`, `lab` and `rgb`; two hierarchies each and
            per scale, one with colour and one without.
        scales: Of the starting regions; higher makes larger ones.
        sigma: Width of the Gaussian that smooths the image first, in pixels; 0 for none.
        min_size: Least pixels of a starting region.
        min_side: Boxes with a shorter side below that many pixels are dropped.
        max_overlap: Largest intersection over union of two boxes; 1 drops exact duplicates only.
        max_boxes: Of an image, windows included.
        longest: Images with a longer side of more pixels are shrunk to it first; this is what
            bounds the time of an image.
        grid: Sides of square windows to add, as shares of the image's shorter side, which
            neighbours overlap by at least two thirds. Empty for none.
        seed: Breaks ties between hierarchies.
    """

    colours: tuple[str, ...] = ('lab', 'hsv')
    scales: tuple[float, ...] = (50.0,)
    sigma: float = 0.8
    min_size: int = 20
    min_side: float = 6.0
    max_overlap: float = 0.85
    max_boxes: int = 2000
    longest: int = 500
    grid: tuple[float, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('colours', 'scales', 'grid'):
            value = getattr(self, name)
            if isinstance(value, (str, int, float)):
                raise ValueError(f'Expected `{name}` to be a list, but got {value!r}')
            object.__setattr__(self, name, tuple(value))
        for colour in self.colours:
            if colour not in COLOURS:
                raise ValueError(
                    f'Expected `colours` of {COLOURS}, but got {colour!r}. '
                    f'{nearest(str(colour), COLOURS)}'
                )
        self._check_numbers()
        if not (self.colours and self.scales) and not self.grid:
            raise ValueError('Expected `colours` and `scales`, or `grid`, but got neither')

    def _check_numbers(self) -> None:
        for name in ('min_size', 'max_boxes', 'longest'):
            check_integer(name, getattr(self, name))
        check_integer('seed', self.seed, 0)
        for scale in self.scales:
            check_number('scales', scale, positive=True)
        check_number('sigma', self.sigma, positive=False)
        check_number('min_side', self.min_side, positive=False)
        for name, values in (('max_overlap', (self.max_overlap,)), ('grid', self.grid)):
            for value in values:
                if check_number(name, value, positive=True) > 1:
                    raise ValueError(f'Expected `{name}` to be at most 1, but got {value!r}')


def propose_boxes(image: np.ndarray, spec: ProposalSpec | None = None) -> np.ndarray:
    """Boxes that may hold objects, the same for the same image and spec on every call.

    Args:
        image: (H, W, 3) uint8 RGB.
        spec: How they are made; the default one where None.

    Returns:
        (N, 4) float32 x1, y1, x2, y2 in pixels of `image`, ends excluded, 1 <= N <= `max_boxes`.
        First the boxes of the top levels of all hierarchies, then of the levels below, last the
        windows of the grid.

    Raises:
        ValueError: Another shape or dtype, or more windows than `max_boxes`.

    >>> image = np.zeros((40, 60, 3), np.uint8)
    >>> image[10:30, 20:40] = 255
    >>> propose_boxes(image, ProposalSpec(sigma=0)).tolist()
    [[0.0, 0.0, 60.0, 40.0], [20.0, 10.0, 40.0, 30.0]]
    """
    image = check_image(image)
    spec = ProposalSpec() if spec is None else spec
    height, width = image.shape[:2]
    windows = grid_windows(height, width, spec.grid)
    if len(windows) >= spec.max_boxes and len(windows):
        raise ValueError(
            f'Expected `max_boxes` above the {len(windows)} windows of `grid` in an image of '
            f'{height} x {width}, but got {spec.max_boxes}'
        )
    boxes = np.concatenate([_selective_boxes(image, spec), windows])
    found = distinct_boxes(boxes[: len(boxes) - len(windows)], spec.max_overlap, spec.max_boxes)
    found = found[: spec.max_boxes - len(windows)]
    return np.ascontiguousarray(np.concatenate([boxes[found], windows]), np.float32)


def grid_windows(height: int, width: int, shares: tuple[float, ...]) -> np.ndarray:
    """(N, 4) float64 square windows x1, y1, x2, y2, evenly spread, from edge to edge.

    Args:
        height: Of the image, pixels.
        width: Of the image, pixels.
        shares: Sides of the windows, as shares of the shorter side of the image.

    >>> grid_windows(10, 20, (1.0,))[:, 0].round(1).tolist()
    [0.0, 3.3, 6.7, 10.0]
    """
    found = [np.empty((0, 4))]
    for share in shares:
        side = share * min(height, width)
        x, y = (
            np.linspace(0, room, 1 + math.ceil(room / (STEP * side) - 1e-9))
            for room in (width - side, height - side)
        )
        corner = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        found.append(np.hstack([corner, corner + side]))
    return np.concatenate(found)


def _selective_boxes(image: np.ndarray, spec: ProposalSpec) -> np.ndarray:
    """(N, 4) float64 boxes of all hierarchies, top levels first, small ones dropped."""
    small, zoom = _shrunk(image, spec.longest)
    hierarchies: list[np.ndarray] = [np.empty((0, 4))]
    for colour in spec.colours:
        seen = gaussian_filter(_converted(small, colour), (spec.sigma, spec.sigma, 0))
        for scale in spec.scales:
            labels = felzenszwalb(seen, scale=scale, sigma=0, min_size=spec.min_size)
            start = describe_regions(seen, labels)
            hierarchies += [group_regions(start, colour=c)[::-1] for c in (True, False)]
    level = np.concatenate([np.arange(len(h)) for h in hierarchies])
    ties = np.random.default_rng(spec.seed).random(len(level))
    boxes = np.concatenate(hierarchies)[np.lexsort((ties, level))] * zoom
    _, first = np.unique(boxes, axis=0, return_index=True)
    boxes = boxes[np.sort(first)]
    large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= spec.min_side
    large[:1] = True  # the whole image
    return boxes[large]


def _shrunk(image: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The image with no side above `longest`, and (4,) factors from its boxes to the original's."""
    height, width = image.shape[:2]
    share = min(1.0, longest / max(height, width))
    if share == 1:
        return image, np.ones(4)
    size = max(1, round(width * share)), max(1, round(height * share))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    factors = np.array([width / size[0], height / size[1]])
    return small, np.tile(factors, 2)


def _converted(image: np.ndarray, colour: str) -> np.ndarray:
    """(H, W, 3) float32 colours in [0, 1]."""
    values = image.astype(np.float32) / np.float32(255)
    if colour == 'lab':
        values = rgb2lab(values)
        values += np.array([0, 128, 128], np.float32)
        values /= np.array([100, 255, 255], np.float32)
    elif colour == 'hsv':
        values = rgb2hsv(values)
    return values.astype(np.float32, copy=False)
