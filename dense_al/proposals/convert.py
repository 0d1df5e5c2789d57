"""Published proposals, by number of the image, for the images of an mmdet data set."""

from collections.abc import Mapping, Sequence

import numpy as np

from dense_al.proposals.formats import Proposals
from dense_al.proposals.listing import ListedImage
from dense_al.proposals.safe_pickle import ProposalFileError

MIN_SIDE = 2  # pixels; wetectron drops what is thinner
_NAMED = 5  # how many images a message lists


def wetectron_to_mmdet(
    proposals: Mapping[int | str, Proposals],
    images: Sequence[ListedImage],
    *,
    inclusive: bool = True,
    whole_if_empty: bool = False,
) -> dict[str, Proposals]:
    """Proposals by number of the image -> by 'folder/file', for exactly the images given.

    Boxes are clipped to the image, then repeated ones and those with a side below 2 pixels are
    dropped, as wetectron does when it trains. The best score comes first, equal ones keep their
    order.

    Args:
        proposals: What `read_wetectron` gives; images beyond `images` are passed over.
        images: The images of one data set, from `list_images`.
        inclusive: Whether the boxes include their last pixel; False where ends are excluded.
        whole_if_empty: An image without any box left gets a box of its own size instead of an
            error.

    Returns:
        Key of the image -> proposals, in the order of `images`.

    Raises:
        ProposalFileError: An image is missing or without any box left, or a box ends before it
            begins.
    """
    found: dict[str, Proposals] = {}
    missing, empty = [], []
    for image in images:
        index = next((i for i in image.indexes if i in proposals), None)
        if index is None:
            missing.append(image.key)
            continue
        fitted = fit_proposals(proposals[index], image.size(), inclusive, image.key)
        if not len(fitted.boxes):
            empty.append(image.key)
            height, width = image.size()
            whole = np.array([[0, 0, width, height]], np.float32)
            fitted = Proposals(whole, np.zeros(1, np.float32))
        found[image.key] = fitted
    if missing:
        raise ProposalFileError(
            f'Expected proposals of {len(images)} images, but got none of {_some(missing)}'
        )
    if empty and not whole_if_empty:
        raise ProposalFileError(f'Expected a box of each image, but got none of {_some(empty)}')
    return found


def fit_proposals(
    proposals: Proposals, size: tuple[int, int], inclusive: bool, name: str
) -> Proposals:
    """Proposals with ends excluded, inside the image, no box twice, none below 2 pixels.

    Args:
        proposals: Of one image.
        size: Height and width of the image, pixels.
        inclusive: Whether the boxes include their last pixel.
        name: What to call the image in messages.

    Raises:
        ProposalFileError: A box ends before it begins.
    """
    boxes, scores = proposals
    wrong = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if wrong.any():
        raise ProposalFileError(
            f'Expected boxes x1, y1, x2, y2 of {name}, but got {boxes[wrong][0].tolist()}'
        )
    boxes = boxes.copy()
    boxes[:, 2:] += bool(inclusive)
    height, width = size
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    order = np.argsort(-scores, kind='stable')
    boxes, scores = boxes[order], scores[order]
    _, first = np.unique(boxes, axis=0, return_index=True)
    thick = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE).all(axis=1)
    kept = np.sort(first)
    kept = kept[thick[kept]]
    return Proposals(boxes[kept], scores[kept])


def _some(names: Sequence[str]) -> str:
    more = f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''
    return ', '.join(names[:_NAMED]) + more
