"""People who answer through files: pictures and query.json out, label images in."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from dense_al.oracles.base import Asking, Oracle, WaitingForAnswers
from dense_al.pool import UnitPixels
from dense_al.regions import read_image
from dense_al.registry import ORACLES, nearest
from dense_al.structures import IGNORE, WHOLE, Answer, Boxes, Label, Tags

WAIT_FOR = ('all', 'any')
OUTLINE = (255, 230, 0)
SUFFIX = {'pixels': '.png', 'boxes': '.json', 'tags': '.json'}


@ORACLES.register
class Files(Oracle):
    """Asks by writing `ask/` into the round's folder and reads answers from its `labels/`.

    `ask/query.json` lists, per image, the picture with the asked units outlined, a 16-bit PNG with
    unit id + 1 where something is asked (0 elsewhere), and the label file expected. A label file
    is an 8-bit single-channel PNG of the image's size: the class index inside the asked units, 255
    where one cannot say; what lies outside them is not read. A unit that is 255 throughout counts
    as declined. For a detector it is JSON: `boxes`, a list of x1 y1 x2 y2 in pixels, and `labels`,
    their class names, or null for an image one cannot label. Where tags are asked it is JSON with
    `tags`, the names of the classes in the image, or null.

    Args:
        wait_for: `all`: go on when every image has its label file; `any`: go on with what is
            there, the rest stays in the pool.
        prices: Price table, see `dense_al.pool.Prices`.
        ask_declined_again: Whether a declined unit may be asked again.
    """

    source = 'files'

    def __init__(
        self,
        wait_for: str = 'all',
        prices: dict[str, Any] | None = None,
        ask_declined_again: bool = False,
    ) -> None:
        super().__init__(prices, ask_declined_again)
        if wait_for not in WAIT_FOR:
            raise ValueError(f'Unknown `wait_for` {wait_for!r}. {nearest(wait_for, WAIT_FOR)}')
        self.wait_for = wait_for

    def answer(self, asking: Asking) -> list[Answer]:
        ask, given = asking.folder / 'ask', asking.folder / 'labels'
        if not (ask / 'query.json').exists():
            write_questions(ask, asking)
        given.mkdir(parents=True, exist_ok=True)
        samples = [int(s) for s in np.unique(asking.query.sample)]
        form = form_of(asking)
        suffix = SUFFIX[form]
        files = {s: given / (plain_name(asking.manifest.names[s]) + suffix) for s in samples}
        _check_no_strangers(given, [file.name for file in files.values()])
        there = [s for s in samples if files[s].exists()]
        if not there or (self.wait_for == 'all' and len(there) < len(samples)):
            raise WaitingForAnswers(
                f'Waiting for answers: {len(there)} of {len(samples)} label files are in {given}; '
                f'the questions are in {ask}'
            )
        labels: dict[int, Label | None] = {}
        for sample in there:
            size = asking.manifest.size(sample)
            if form != 'pixels':
                row = int(np.flatnonzero(asking.query.sample == sample)[0])
                if form == 'boxes':
                    labels[row] = read_boxes(files[sample], size, asking.classes)
                else:
                    labels[row] = read_tags(files[sample], asking.classes)
                continue
            label = read_answer(files[sample], size, len(asking.classes))
            flat, pixels = label.ravel(), None
            if asking.query.kind not in WHOLE:
                pixels = UnitPixels(asking.units.map(sample))
            for i in np.flatnonzero(asking.query.sample == sample):
                values = flat if pixels is None else flat[pixels[int(asking.query.unit[i])]]
                labels[int(i)] = None if (values == IGNORE).all() else values
        return self._answers(asking, labels)


def form_of(asking: Asking) -> str:
    """What a label file holds: `pixels`, `boxes` or `tags`."""
    return 'tags' if asking.query.kind == 'tags' else asking.form


def plain_name(name: str) -> str:
    """A sample's name as a file name without suffix: `a/b.png` becomes `a__b`.

    >>> plain_name('town/0001.png')
    'town__0001'
    """
    return str(Path(name).with_suffix('')).replace(os.sep, '__')


def write_questions(folder: Path, asking: Asking) -> None:
    """Writes the pictures and, last of all, `query.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    query, samples = asking.query, []
    for sample in (int(s) for s in np.unique(query.sample)):
        name = plain_name(asking.manifest.names[sample])
        units = query.unit[query.sample == sample]
        unit_map = np.zeros(asking.manifest.size(sample), np.int32)
        if query.kind not in WHOLE:
            unit_map = asking.units.map(sample)
        asked = np.where(np.isin(unit_map, units), unit_map + 1, 0)
        picture = read_image(asking.manifest.paths[sample]).copy()
        picture[find_boundaries(asked, mode='inner') & (asked > 0)] = OUTLINE
        Image.fromarray(picture).save(folder / f'{name}_asked.png')
        Image.fromarray(asked.astype(np.uint16)).save(folder / f'{name}_units.png')
        samples.append(
            {
                'name': asking.manifest.names[sample],
                'image': asking.manifest.paths[sample],
                'picture': f'{name}_asked.png',
                'units': f'{name}_units.png',
                'asked': units.tolist(),
                'label': f'labels/{name}{SUFFIX[form_of(asking)]}',
            }
        )
    content = {
        'kind': query.kind,
        'form': form_of(asking),
        'classes': asking.classes,
        'ignore': IGNORE,
        'samples': samples,
    }
    temporary = folder / '.query.json.tmp'
    temporary.write_text(json.dumps(content, indent=1), encoding='utf-8')
    os.replace(temporary, folder / 'query.json')


def read_answer(path: Path, size: tuple[int, int], n_classes: int) -> np.ndarray:
    """Reads a label file.

    Args:
        path: 8-bit single-channel PNG (a palette is ignored).
        size: (height, width) it must have.
        n_classes: Number of classes.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: Unreadable, colours instead of classes, wrong size, class out of range.
    """
    try:
        with Image.open(path) as image:
            label = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise ValueError(f'Could not read the label file {path}: {error}') from error
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(
            f'Expected {path} to be an 8-bit image with one channel (the class index), but got '
            f'{label.dtype} of shape {label.shape}'
        )
    if label.shape != size:
        raise ValueError(f'Expected {path} of size {size} (height, width), but got {label.shape}')
    bad = label[(label >= n_classes) & (label != IGNORE)]
    if bad.size:
        raise ValueError(
            f'Expected classes 0 to {n_classes - 1} or {IGNORE} in {path}, but got {int(bad[0])}'
        )
    return label


def read_boxes(path: Path, size: tuple[int, int], classes: list[str]) -> Boxes | None:
    """Reads a label file of boxes.

    Args:
        path: JSON with `boxes` (N lists x1 y1 x2 y2 in pixels) and `labels` (N class names), or
            null for an image that was declined.
        size: (height, width) of the image.
        classes: Class names.

    Raises:
        ValueError: Unreadable, an unknown class, a box outside the image.
    """
    content = _json(path, ('boxes', 'labels'))
    if content is None:
        return None
    try:
        boxes = np.array(content['boxes'], np.float32).reshape(-1, 4)
        names = [str(name) for name in content['labels']]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'Expected {path} to be JSON with `boxes` of four numbers each, but got: {error}'
        ) from error
    labels = _classes(names, path, classes)
    limit = np.array([size[1], size[0], size[1], size[0]])
    if ((boxes < 0) | (boxes > limit)).any():
        raise ValueError(f'Expected boxes inside {size[1]} x {size[0]} pixels in {path}')
    try:
        return Boxes(boxes, labels)
    except ValueError as error:
        raise ValueError(f'In {path}: {error}') from error


def read_tags(path: Path, classes: list[str]) -> Tags | None:
    """Reads a label file of tags.

    Args:
        path: JSON with `tags` (class names), or null for an image that was declined.
        classes: Class names.

    Raises:
        ValueError: Unreadable, an unknown class.
    """
    content = _json(path, ('tags',))
    if content is None:
        return None
    if not isinstance(content['tags'], list):
        raise ValueError(f'Expected a list of `tags` in {path}, but got {content["tags"]!r}')
    return Tags(_classes([str(name) for name in content['tags']], path, classes))


def _json(path: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """The content of a label file."""
    wanted = ' and '.join(f'`{key}`' for key in keys)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'Expected {path} to be JSON with {wanted}, but got: {error}') from error
    if content is not None and not (isinstance(content, dict) and set(keys) <= set(content)):
        raise ValueError(f'Expected {path} to be JSON with {wanted}, but got: {str(content)[:80]}')
    return content


def _classes(names: list[str], path: Path, classes: list[str]) -> np.ndarray:
    """(N,) int64 classes by name."""
    for name in names:
        if name not in classes:
            raise ValueError(f'Unknown class {name!r} in {path}. {nearest(name, classes)}')
    return np.array([classes.index(name) for name in names], np.int64)


def _check_no_strangers(folder: Path, expected: list[str]) -> None:
    """Raises if a label file belongs to no asked image: a label must not get lost."""
    for file in sorted([*folder.glob('*.png'), *folder.glob('*.json')]):
        if file.name not in expected:
            raise ValueError(f'{file} belongs to no asked image. {nearest(file.name, expected)}')
