"""Superpixels: connected regions of similar colour."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from skimage.segmentation import slic

from dense_al.regions.base import Regions, check_image, check_integer, check_number, relabelled
from dense_al.regions.images import decoder

METHODS = ('slic', 'seeds')
_MIN_SIZE_FACTOR = 0.5  # scikit-image's own
_SEEDS_LEVELS, _SEEDS_PRIOR, _SEEDS_BINS, _SEEDS_ITERATIONS = 4, 2, 5, 10


class Superpixels(Regions):
    """SLIC (Achanta et al., TPAMI 2012) or SEEDS (Van den Bergh et al., IJCV 2015) superpixels.

    The same image gives the same regions on every call. Their number differs between images. With
    `slic` it is mostly well below `n_segments`, less so with a low `min_size_factor`.

    Args:
        n_segments: Regions aimed at per image.
        method: `slic` (scikit-image) or `seeds` (OpenCV's contributed modules, faster, with
            rougher borders).
        compactness: Weight of nearness against colour, `slic` only; higher is squarer.
        sigma: Width of the Gaussian that smooths the image first, in pixels; 0 for none.
        min_size_factor: Pieces below this share of the mean size that `n_segments` aims at are
            merged with a neighbour, `slic` only; 0 keeps every speck.

    Raises:
        ValueError: An argument out of range.
        ImportError: `seeds` without OpenCV's contributed modules.
    """

    def __init__(
        self,
        *,
        n_segments: int = 64,
        method: str = 'slic',
        compactness: float = 10.0,
        sigma: float = 0.0,
        min_size_factor: float = _MIN_SIZE_FACTOR,
    ) -> None:
        self.n_segments = check_integer('n_segments', n_segments)
        if method not in METHODS:
            raise ValueError(f'Expected `method` to be one of {METHODS}, but got {method!r}')
        self.method = method
        self.compactness = check_number('compactness', compactness, positive=True)
        self.sigma = check_number('sigma', sigma, positive=False)
        self.min_size_factor = check_number('min_size_factor', min_size_factor, positive=False)
        if method == 'seeds':
            _ximgproc()

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, `min_size_factor` only where it is not the default."""
        names = ['n_segments', 'method', 'compactness', 'sigma']
        if self.min_size_factor != _MIN_SIZE_FACTOR:  # it came later, and stored keys stay
            names.append('min_size_factor')
        return {name: getattr(self, name) for name in names}

    @property
    def versions(self) -> dict[str, str]:
        """The decoder of images, and scikit-image or OpenCV."""
        if self.method == 'slic':
            return {'decoder': decoder(), 'scikit-image': version('scikit-image')}
        return {'decoder': decoder(), 'opencv': _installed('opencv-contrib-python')}

    def map(self, image: np.ndarray) -> np.ndarray:
        """(H, W) int32 superpixel of each pixel of an (H, W, 3) uint8 RGB image."""
        image = check_image(image)
        return relabelled(self._slic(image) if self.method == 'slic' else self._seeds(image))

    def _slic(self, image: np.ndarray) -> np.ndarray:
        if image.shape[0] * image.shape[1] == 1:
            return np.zeros((1, 1), np.int32)
        return slic(
            image.astype(np.float32) / np.float32(255),  # float32 is faster than uint8, see there
            n_segments=self.n_segments,
            compactness=self.compactness,
            sigma=self.sigma,
            min_size_factor=self.min_size_factor,
            start_label=0,
            channel_axis=-1,
        )

    def _seeds(self, image: np.ndarray) -> np.ndarray:
        import cv2

        if self.sigma > 0:
            image = cv2.GaussianBlur(image, (0, 0), self.sigma)
        lab = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2LAB)
        height, width = image.shape[:2]
        # Blocks halve per level: a small image has room for few of them.
        room = np.sqrt(height * width / self.n_segments)
        levels = int(np.clip(np.log2(max(room, 1)), 1, _SEEDS_LEVELS))
        seeds = _ximgproc().createSuperpixelSEEDS(
            width, height, 3, self.n_segments, levels, _SEEDS_PRIOR, _SEEDS_BINS
        )
        seeds.iterate(lab, _SEEDS_ITERATIONS)
        return seeds.getLabels()


def _ximgproc() -> Any:
    """OpenCV's module of SEEDS, or an `ImportError` that says what brings it."""
    try:
        import cv2

        return getattr(cv2, 'ximgproc')  # noqa: B009
    except (ImportError, AttributeError) as error:
        raise ImportError(
            "Expected OpenCV's module ximgproc for method='seeds', but got an OpenCV without it. "
            'It comes with opencv-contrib-python (or opencv-contrib-python-headless), in place of '
            "opencv-python. method='slic' does without."
        ) from error


def _installed(package: str) -> str:
    for name in (package, f'{package}-headless'):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    import cv2

    return cv2.__version__
