"""What can be said of the mask of one object: all of it, or whether one point lies on it."""

import zlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dense_al.structures.label import Label


@dataclass(frozen=True)
class Mask(Label):
    """The mask of one object in its image, in COCO's run-length code.

    Attributes:
        size: Height and width of the image in pixels.
        counts: The compressed code.
    """

    mark, what, of_object = b'M', 'a mask', True

    size: tuple[int, int]
    counts: str

    @classmethod
    def of_rle(cls, rle: dict[str, Any]) -> 'Mask':
        """From COCO's dict of `size` and compressed `counts`."""
        counts = rle['counts']
        text = counts.decode('ascii') if isinstance(counts, bytes) else str(counts)
        return cls((int(rle['size'][0]), int(rle['size'][1])), text)

    @classmethod
    def of_array(cls, mask: np.ndarray) -> 'Mask':
        """From an (H, W) bool array.

        >>> Mask.of_array(np.eye(3, dtype=bool)).array().sum().item()
        3
        """
        from pycocotools import mask as coco

        return cls.of_rle(coco.encode(np.asfortranarray(mask, np.uint8)))

    def array(self) -> np.ndarray:
        """(H, W) bool."""
        from pycocotools import mask as coco

        return coco.decode({'size': list(self.size), 'counts': self.counts.encode()}).astype(bool)

    def rle(self) -> dict[str, Any]:
        """COCO's dict of `size` and `counts`."""
        return {'size': list(self.size), 'counts': self.counts}

    def encode(self) -> bytes:
        """The mark, then height, width and code.

        >>> Mask.decode(Mask((2, 3), '06').encode()).size
        (2, 3)
        """
        text = f'{self.size[0]} {self.size[1]} {self.counts}'
        return self.mark + zlib.compress(text.encode('ascii'), 6)

    @classmethod
    def _decoded(cls, payload: bytes) -> Self:
        height, width, counts = zlib.decompress(payload[1:]).decode('ascii').split(' ', 2)
        return cls((int(height), int(width)), counts)


@dataclass(frozen=True)
class Inside(Label):
    """Whether a point lies on its object."""

    mark, what, of_object = b'P', 'a point on an object', True

    value: bool

    def encode(self) -> bytes:
        """The mark and one byte.

        >>> Inside.decode(Inside(True).encode()).value
        True
        """
        return self.mark + bytes([self.value])

    @classmethod
    def _decoded(cls, payload: bytes) -> Self:
        return cls(bool(payload[1]))

    def mistaken(self, noise: float, n_classes: int, rng: np.random.Generator) -> 'Inside':
        """The point may be said to be on the other side."""
        return Inside(self.value != (rng.random() < noise))
