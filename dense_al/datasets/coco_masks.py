"""Masks as COCO writes them."""

from typing import Any

from dense_al.structures import Mask


def mask_of(given: Any, size: tuple[int, int], name: str) -> Mask:
    """A mask of the data set.

    Args:
        given: COCO's polygons or run-length code, None where there is none.
        size: Height and width of the image.
        name: Where it comes from, for messages.

    Raises:
        ValueError: None, or one that cannot be read.
    """
    from pycocotools import mask as coco

    if not given:
        raise ValueError(f'Expected a mask (`segmentation`) of every object, but {name} lacks some')
    try:
        if isinstance(given, (list, tuple)):
            return Mask.of_rle(coco.merge(coco.frPyObjects(list(given), *size)))
        if isinstance(given['counts'], list):
            return Mask.of_rle(coco.frPyObjects(given, *size))
        return Mask.of_rle(given)
    except Exception as error:  # pycocotools raises bare Exception
        raise ValueError(f'Could not read a mask of {name}: {error}') from error
