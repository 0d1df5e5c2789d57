"""What can be said of the mask of one object: all of it, or whether one point lies on it."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

MARK, MARK_INSIDE = b'M', b'P'


@dataclass(frozen=True)
class Mask:
    """The mask of one object in its image, in COCO's run-length code.

    Attributes:
        size: Height and width of the image in pixels.
        counts: The compressed code.
    """

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


@dataclass(frozen=True)
class Inside:
    """Whether a point lies on its object."""

    value: bool


def encode_mask(mask: Mask) -> bytes:
    """Packs the mask of one object: the mark, then height, width and code.

    >>> decode_mask(encode_mask(Mask((2, 3), '06'))).size
    (2, 3)
    """
    text = f'{mask.size[0]} {mask.size[1]} {mask.counts}'
    return MARK + zlib.compress(text.encode('ascii'), 6)


def decode_mask(payload: bytes) -> Mask:
    """Unpacks what `encode_mask` packed.

    Raises:
        ValueError: A payload of something else.
    """
    if not holds_mask(payload):
        raise ValueError('Expected a payload of a mask, but got another one')
    height, width, counts = zlib.decompress(payload[1:]).decode('ascii').split(' ', 2)
    return Mask((int(height), int(width)), counts)


def holds_mask(payload: bytes) -> bool:
    """Whether a payload holds the mask of one object."""
    return payload[:1] == MARK


def encode_inside(inside: Inside) -> bytes:
    """Packs whether a point lies on its object: the mark and one byte.

    >>> decode_inside(encode_inside(Inside(True))).value
    True
    """
    return MARK_INSIDE + bytes([inside.value])


def decode_inside(payload: bytes) -> Inside:
    """Unpacks what `encode_inside` packed.

    Raises:
        ValueError: A payload of something else.
    """
    if not holds_inside(payload):
        raise ValueError('Expected a payload of a point on an object, but got another one')
    return Inside(bool(payload[1]))


def holds_inside(payload: bytes) -> bool:
    """Whether a payload says of a point whether it lies on its object."""
    return payload[:1] == MARK_INSIDE
