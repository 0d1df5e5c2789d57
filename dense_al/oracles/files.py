"""People who answer through files: pictures or scans and query.json out, label files in."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dense_al.oracles.base import Asking, Oracle, WaitingForAnswers
from dense_al.oracles.json_files import read_boxes, read_tags
from dense_al.oracles.object_files import read_object_answers, read_objects
from dense_al.oracles.questions import asked_objects, form_of, label_name, write_questions
from dense_al.pool import UnitPixels
from dense_al.registry import ORACLES, nearest
from dense_al.structures import IGNORE, WHOLE, Answer, Label, Pixels

WAIT_FOR = ('all', 'any')
READ = ('.png', '.json', '.label')  # suffixes of label files
MOST_NAMED = 10  # mistakes in label files that one message shows


@ORACLES.register
class Files(Oracle):
    """Asks by writing `ask/` into the round's folder and reads answers from its `labels/`.

    `ask/query.json` lists, per image, the picture with the asked units outlined, a 16-bit PNG with
    unit id + 1 where something is asked (0 elsewhere), and the label file expected. A label file
    is an 8-bit single-channel PNG of the image's size: the class index inside the asked units, 255
    where one cannot say; what lies outside them is not read. A unit that is 255 throughout counts
    as declined. Where one class per unit is asked (`dominant`), the most frequent one inside the
    unit counts, so one pixel of it will do. Single pixels are listed by `x` and `y`; the PNG has
    their number in that list, counted from 1.

    Of a LiDAR scan `ask/` holds the same as uint32 per point, as SemanticKITTI writes labels, and
    the label file is one too: the class index in the lower 16 bits. Single points are listed by
    their number in the scan, from 0.

    For a detector the label file is JSON: `boxes`, a list of x1 y1 x2 y2 in pixels, and `labels`,
    their class names, or null for an image one cannot label; a model with masks also wants `masks`
    or as many `points` of each object as `query.json` says, see `read_objects`. Where tags are
    asked it is JSON with `tags`, the names of the classes in the image, or null. Questions about
    single objects and their points are listed in `query.json` and drawn in the picture; the label
    file has their answers, see `read_object_answers`.

    Args:
        wait_for: `all`: go on when every image has its label file, or when a budget in clicks or
            seconds is used up by what was drawn in those that have one; `any`: go on with what is
            there. The rest stays in the pool; every label file that is there counts.
        prices: Price table, see `dense_al.pool.Prices`.
        ask_declined_again: Whether a declined unit may be asked again.
        points: Points asked with each box in the place of a mask, see `Oracle`.
        dominant: One class for each region or image, see `Oracle`.
    """

    source = 'files'

    def __init__(
        self,
        wait_for: str = 'all',
        prices: dict[str, Any] | None = None,
        ask_declined_again: bool = False,
        points: int | None = None,
        dominant: bool = False,
    ) -> None:
        super().__init__(prices, ask_declined_again, points, dominant)
        if wait_for not in WAIT_FOR:
            raise ValueError(f'Unknown `wait_for` {wait_for!r}. {nearest(wait_for, WAIT_FOR)}')
        self.wait_for = wait_for

    def answer(self, asking: Asking) -> list[Answer]:
        ask, given = asking.folder / 'ask', asking.folder / 'labels'
        if not (ask / 'query.json').exists():
            write_questions(ask, asking, self.dominant, self.points)
        given.mkdir(parents=True, exist_ok=True)
        samples = list(asking.query.by_sample)
        files = {s: given / label_name(asking, s) for s in samples}
        mistakes = _strangers(given, [file.name for file in files.values()])
        there = [s for s in samples if files[s].exists()]
        labels: dict[int, Label | None] = {}
        for sample in there:
            try:
                labels.update(self._read(asking, sample, files[sample]))
            except ValueError as error:
                mistakes.append(str(error))
        if mistakes:
            raise ValueError(_listed(mistakes))
        answers = self._answers(asking, labels)
        complete = self.wait_for == 'any' or len(there) == len(samples)
        if not there or not (complete or asking.enough(answers)):
            missing = [file.name for file in files.values() if not file.exists()]
            raise WaitingForAnswers(
                f'Waiting for answers: {len(there)} of {len(samples)} label files are in {given}, '
                f'{_some(missing)} not yet{_others(given)}; the questions are in {ask}'
            )
        return answers

    def _read(self, asking: Asking, sample: int, file: Path) -> dict[int, Label | None]:
        """Row of the query -> what the label file of its sample says."""
        size, classes = asking.manifest.size(sample), asking.classes
        rows = asking.query.by_sample[sample].tolist()
        form = form_of(asking)
        if form == 'answers':
            questions = asked_objects(asking, sample)
            found = read_object_answers(file, questions, size, asking.query.kind)
            return dict(zip(rows, found))
        if form == 'boxes':
            return {rows[0]: read_boxes(file, size, classes)}
        if form == 'masks':
            return {rows[0]: read_objects(file, size, classes, self.points)}
        if form == 'tags':
            return {rows[0]: read_tags(file, classes)}
        read = read_points_answer if form == 'points' else read_answer
        flat = read(file, size, len(classes)).ravel()
        parts: list[np.ndarray] = [flat] * len(rows)
        if asking.query.kind == 'point':
            parts = [flat[u : u + 1] for u in asking.query.unit[rows].tolist()]
        elif asking.query.kind not in WHOLE:
            pixels = UnitPixels(asking.units.map(sample))
            parts = [flat[pixels[u]] for u in asking.query.unit[rows].tolist()]
        return {row: self._said(Pixels(part)) for row, part in zip(rows, parts)}


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
    _check_classes(label, n_classes, path)
    return label


def read_points_answer(path: Path, size: tuple[int, int], n_classes: int) -> np.ndarray:
    """Reads a label file of a scan.

    Args:
        path: uint32 per point, little-endian; the lower 16 bits are the class, the others not read.
        size: (points, 1).
        n_classes: Number of classes.

    Returns:
        (N, 1) uint8.

    Raises:
        ValueError: Unreadable, another number of points, class out of range.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f'Could not read the label file {path}: {error}') from error
    if len(content) != 4 * size[0]:
        raise ValueError(
            f'Expected {path} of {size[0]} points, 4 bytes each, but got {len(content)} bytes'
        )
    label = (np.frombuffer(content, '<u4') & 0xFFFF).reshape(size)
    _check_classes(label, n_classes, path)
    return label.astype(np.uint8)


def _check_classes(label: np.ndarray, n_classes: int, path: Path) -> None:
    bad = label[(label >= n_classes) & (label != IGNORE)]
    if bad.size:
        raise ValueError(
            f'Expected classes 0 to {n_classes - 1} or {IGNORE} in {path}, but got {int(bad[0])}'
        )


def _listed(mistakes: list[str]) -> str:
    """All mistakes in label files, the first of them as they are."""
    if len(mistakes) == 1:
        return mistakes[0]
    first = '\n'.join(f'- {mistake}' for mistake in mistakes[:MOST_NAMED])
    more = len(mistakes) - MOST_NAMED
    return f'{len(mistakes)} label files are wrong:\n{first}' + f'\nand {more} more' * (more > 0)


def _some(names: list[str]) -> str:
    """The first of some names."""
    more = len(names) - 3
    return ', '.join(names[:3]) + f' and {more} more' * (more > 0)


def _others(folder: Path) -> str:
    """What lies beside the label files and is not read, for a message."""
    names = sorted(f.name for f in folder.iterdir() if f.suffix.lower() not in READ)
    names = [name for name in names if not name.startswith('.')]
    return f'; {_some(names)} there {"are" if len(names) > 1 else "is"} not read' * bool(names)


def _strangers(folder: Path, expected: list[str]) -> list[str]:
    """What to say about label files that belong to no asked image: a label must not get lost."""
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() in READ)
    return [
        f'{file} belongs to no asked image. {nearest(file.name, expected)}'
        for file in found
        if file.name not in expected
    ]
