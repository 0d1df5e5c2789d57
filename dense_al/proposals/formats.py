"""Files of proposals: what mmdet 3 reads, and what wetectron (MIST) and Detectron publish.

Boxes are x1, y1, x2, y2 in pixels of the original image. mmdet's ends are excluded. wetectron
counts pixels from 0 and includes the last one: it clips to width - 1 and takes x2 - x1 + 1 for the
width (BoxList), so ends move by 1 on the way.
"""

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dense_al.files import write_atomically
from dense_al.proposals.safe_pickle import ProposalFileError, Record, load_arrays
from dense_al.registry import nearest

_PROTOCOL = 4
PathLike = str | os.PathLike[str]


class Proposals(NamedTuple):
    """The proposals of one image.

    Attributes:
        boxes: (N, 4) float32 x1, y1, x2, y2 in pixels.
        scores: (N,) float32, higher = better; zeros where none are known.
    """

    boxes: np.ndarray
    scores: np.ndarray


def read_mmdet(path: PathLike) -> dict[str, Proposals]:
    """Reads what mmdet's data sets take as `proposal_file`.

    Args:
        path: A pickle of a dict: 'folder/file' -> dict or InstanceData with `bboxes` (N, 4) and
            perhaps `scores` (N,), numpy arrays.

    Raises:
        FileNotFoundError: There is no such file.
        ProposalFileError: Anything else in it; no code of the file is run.
    """
    found = _load(path)
    if not isinstance(found, dict):
        raise ProposalFileError(
            f'Expected a dict of images in {path}, but got {type(found).__name__}'
        )
    return {_text(k, path): _fields(v, f'`{k}` of {path}') for k, v in found.items()}


def write_mmdet(path: PathLike, proposals: Mapping[str, Proposals]) -> None:
    """Writes what mmdet's data sets take as `proposal_file`, whole or not at all.

    mmdet demands as many entries as the data set has images. The same proposals in the same order
    give the same bytes.

    Args:
        path: File to write.
        proposals: 'folder/file' -> proposals; the folder is the last one of the image's path.
    """
    plain = {}
    for name, (boxes, scores) in proposals.items():
        checked = checked_proposals(boxes, scores, f'`{name}`')
        plain[str(name)] = {'bboxes': checked.boxes, 'scores': checked.scores}
    write_atomically(path, lambda file: pickle.dump(plain, file, _PROTOCOL))


def read_wetectron(*paths: PathLike) -> dict[int | str, Proposals]:
    """Reads pickles of wetectron or Detectron, such as one of `train` and one of `val`.

    Args:
        paths: Pickles of a dict with `boxes`, a list of (N, 4) arrays, `indexes` or `ids`, a list
            of image numbers, and perhaps `scores`, a list of (N,) arrays.

    Returns:
        Number of the image -> proposals as they stand, last pixels included.

    Raises:
        FileNotFoundError: There is no such file.
        ProposalFileError: Anything else in one, or an image twice; no code of a file is run.
    """
    found: dict[int | str, Proposals] = {}
    for path in paths:
        content = _load(path)
        keys = list(content) if isinstance(content, dict) else []
        numbers = _entry(content, keys, ('indexes', 'ids'), path)
        boxes = _entry(content, keys, ('boxes',), path)
        scores = content.get('scores') or [None] * len(boxes)
        if not len(numbers) == len(boxes) == len(scores):
            raise ProposalFileError(
                f'Expected as many images in `indexes`, `boxes` and `scores` of {path}, '
                f'but got {len(numbers)}, {len(boxes)} and {len(scores)}'
            )
        for number, box, score in zip(numbers, boxes, scores):
            index = number if isinstance(number, str) else int(number)
            if index in found:
                raise ProposalFileError(f'Expected each image once, but got {index} again: {path}')
            found[index] = checked_proposals(box, score, f'image {index} of {path}')
    return found


def checked_proposals(boxes: Any, scores: Any, name: str) -> Proposals:
    """Boxes and scores as float32, after checks of shapes and of finite values.

    Args:
        boxes: (N, 4) numbers.
        scores: (N,) numbers; None for zeros.
        name: What to call the image in messages.

    Raises:
        ProposalFileError: Another shape, no numbers, NaN or infinity.
    """
    found = np.asarray(boxes)
    if found.size == 0 and found.ndim in (1, 2):
        found = np.empty((0, 4), np.float32)
    if found.ndim != 2 or found.shape[1] != 4 or found.dtype.kind not in 'iuf':
        raise ProposalFileError(
            f'Expected boxes of shape (N, 4) of {name}, but got {found.shape} {found.dtype}'
        )
    rated = np.zeros(len(found)) if scores is None else np.asarray(scores)
    if rated.shape == (len(found), 1):
        rated = rated[:, 0]
    if rated.shape != (len(found),) or rated.dtype.kind not in 'iufb':
        raise ProposalFileError(
            f'Expected scores of shape ({len(found)},) of {name}, but got '
            f'{rated.shape} {rated.dtype}'
        )
    if not (np.isfinite(found).all() and np.isfinite(rated).all()):
        raise ProposalFileError(f'Expected finite boxes and scores of {name}')
    # `astype` gives all arrays the same dtype object, so that equal proposals pickle equally.
    return Proposals(*(values.astype(np.float32, order='C') for values in (found, rated)))


def _load(path: PathLike) -> Any:
    if not Path(path).is_file():
        raise FileNotFoundError(f'Expected a file of proposals at {path}, but got no such file')
    with open(path, 'rb') as file:
        try:
            return load_arrays(file, str(path))
        except EOFError as error:
            raise ProposalFileError(
                f'Expected a pickle in {path}, but got an empty file'
            ) from error


def _entry(content: Any, keys: list[Any], names: Sequence[str], path: PathLike) -> Any:
    """The first of some entries of a dict that is there, a list."""
    for name in names:
        if name in keys and isinstance(content[name], (list, tuple, np.ndarray)):
            return list(content[name])
    what = f'a dict with {keys}' if isinstance(content, dict) else type(content).__name__
    raise ProposalFileError(
        f'Expected a dict with the list {" or ".join(f"`{n}`" for n in names)} in {path}, '
        f'but got {what}. {nearest(names[0], map(str, keys))}'
    )


def _fields(value: Any, name: str) -> Proposals:
    """Boxes and scores of one entry of mmdet's layout."""
    fields = vars(value) if isinstance(value, Record) else value
    if not isinstance(fields, dict) or 'bboxes' not in fields:
        got = list(fields) if isinstance(fields, dict) else type(value).__name__
        raise ProposalFileError(f'Expected a dict with `bboxes` for {name}, but got {got}')
    return checked_proposals(fields['bboxes'], fields.get('scores'), name)


def _text(key: Any, path: PathLike) -> str:
    if not isinstance(key, str):
        raise ProposalFileError(f"Expected keys 'folder/file' in {path}, but got {key!r}")
    return key
