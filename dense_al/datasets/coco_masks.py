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
        ValueError: None, one that cannot be read, or one of another size.
    """
    from pycocotools import mask as coco

    if not given:
        raise ValueError(f'Expected a mask (`segmentation`) of every object, but {name} lacks some')
    try:
        if isinstance(given, (list, tuple)):
            return Mask.of_rle(coco.merge(coco.frPyObjects(list(given), *size)))
        runs = given['counts']
        code = coco.frPyObjects(given, *given['size']) if isinstance(runs, list) else given
        mask = Mask.of_rle(code)
        pixels = sum(run_lengths(mask.counts))
    except Exception as error:  # pycocotools raises bare Exception
        raise ValueError(f'Could not read a mask of {name}: {error}') from error
    if mask.size != size:
        raise ValueError(
            f'Expected a mask of {size} (height, width) in {name}, but got {mask.size}'
        )
    if pixels != size[0] * size[1]:  # pycocotools would fill the rest with what is in memory
        raise ValueError(
            f'Expected a mask of {size[0] * size[1]} pixels in {name}, but got {pixels}'
        )
    return mask


def run_lengths(counts: str) -> list[int]:
    """The runs of a compressed code, beginning with the first one of zeros.

    >>> run_lengths('3513O1')
    [3, 5, 1, 8, 0, 9]
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
