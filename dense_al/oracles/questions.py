"""What people are shown: pictures or marked scans of what is asked, and a list of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries

from dense_al.files import write_atomically
from dense_al.oracles.base import Asking
from dense_al.pool import BoxStore
from dense_al.regions import read_image
from dense_al.structures import (
    IGNORE,
    WHOLE,
    Boxes,
    Inside,
    Instances,
    Label,
    Mask,
    Pixels,
    Tags,
    answer_type,
)

OUTLINE = (255, 230, 0)
# What an answer is -> what its label file holds.
FILES: dict[type[Label], str] = {
    Pixels: 'pixels',
    Boxes: 'boxes',
    Instances: 'masks',
    Tags: 'tags',
    Mask: 'answers',
    Inside: 'answers',
}
MOST_UNITS = 2**16 - 1
SUFFIXES = {'pixels': '.png', 'points': '.label'}  # of label files; all others are JSON


def form_of(asking: Asking) -> str:
    """What a label file holds.

    `pixels`, `points` of a scan, `boxes`, `masks`, `tags`, or `answers` about objects.
    """
    form = FILES[answer_type(asking.query.kind, asking.form)]
    return 'points' if asking.scans and form == 'pixels' else form


def label_name(asking: Asking, sample: int) -> str:
    """The name of a sample's label file."""
    return asking.manifest.file_names[sample] + SUFFIXES.get(form_of(asking), '.json')


def write_questions(
    folder: Path, asking: Asking, dominant: bool = False, points: int | None = None
) -> None:
    """Writes the pictures or marked scans and, last of all, `query.json`.

    Args:
        folder: Where to write.
        asking: The query.
        dominant: Whether one class is wanted for each region or image.
        points: Points asked with each box in the place of a mask, None for the mask.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ask = _ask_pixels if asking.query.kind == 'point' else _ask_units
    ask = {'answers': _ask_objects, 'points': _ask_points}.get(form_of(asking), ask)
    samples = [ask(folder, asking, sample) for sample in asking.query.by_sample]
    content: dict[str, Any] = {
        'kind': asking.query.kind,
        'form': form_of(asking),
        'dominant': dominant,
        'classes': asking.classes,
        'ignore': IGNORE,
        'samples': samples,
    }
    if form_of(asking) == 'masks':
        content['points'] = points
    write_atomically(folder / 'query.json', json.dumps(content, indent=1).encode())


def asked_objects(asking: Asking, sample: int) -> list[dict[str, Any]]:
    """The questions about a sample's objects, in the order of the query."""
    width = asking.manifest.size(sample)[1]
    questions = []
    for row in asking.query.by_sample[sample]:
        question = {'instance': int(asking.query.instance[row])}
        if asking.query.kind == 'point':
            y, x = divmod(int(asking.query.unit[row]), width)
            question.update(x=x, y=y)
        questions.append(question)
    return questions


def _ask_units(folder: Path, asking: Asking, sample: int) -> dict[str, Any]:
    """Writes one image with the outlines of the units asked."""
    query, name = asking.query, asking.manifest.file_names[sample]
    asked = _units_asked(asking, sample)
    picture = read_image(asking.manifest.paths[sample]).copy()
    picture[find_boundaries(asked, mode='inner') & (asked > 0)] = OUTLINE
    Image.fromarray(picture).save(folder / f'{name}_asked.png')
    if asked.max(initial=0) > MOST_UNITS:
        raise ValueError(
            f'Expected at most {MOST_UNITS} units in an image, as pictures number them in 16 bits, '
            f'but got unit {asked.max() - 1} in {asking.manifest.names[sample]}; choose larger ones'
        )
    Image.fromarray(asked.astype(np.uint16)).save(folder / f'{name}_units.png')
    return {
        **_listed(asking, sample),
        'units': f'{name}_units.png',
        'asked': query.unit[query.by_sample[sample]].tolist(),
    }


def _units_asked(asking: Asking, sample: int) -> np.ndarray:
    """(H, W) integers: unit + 1 where something is asked, 0 elsewhere."""
    query = asking.query
    unit_map = np.zeros(asking.manifest.size(sample), np.int32)
    if query.kind not in WHOLE:
        unit_map = asking.units.map(sample)
    return np.where(np.isin(unit_map, query.unit[query.by_sample[sample]]), unit_map + 1, 0)


def _ask_points(folder: Path, asking: Asking, sample: int) -> dict[str, Any]:
    """Writes the units asked of one scan as SemanticKITTI writes labels."""
    query, name = asking.query, asking.manifest.file_names[sample]
    units = query.unit[query.by_sample[sample]]
    if query.kind == 'point':
        numbers = np.zeros(asking.manifest.areas[sample], np.int64)
        numbers[units] = np.arange(1, len(units) + 1)
    else:
        numbers = _units_asked(asking, sample).ravel()
    numbers.astype('<u4').tofile(folder / f'{name}_units.label')
    return {
        **_listed(asking, sample),
        'units': f'{name}_units.label',
        'asked': units.tolist(),
    }


def _ask_pixels(folder: Path, asking: Asking, sample: int) -> dict[str, Any]:
    """Writes one image with a cross around each pixel asked, the pixel itself left as it is."""
    query, name = asking.query, asking.manifest.file_names[sample]
    height, width = asking.manifest.size(sample)
    at = [divmod(unit, width) for unit in query.unit[query.by_sample[sample]].tolist()]
    picture = Image.fromarray(read_image(asking.manifest.paths[sample]))
    pen = ImageDraw.Draw(picture)
    numbers = np.zeros((height, width), np.uint16)
    for number, (y, x) in enumerate(at, 1):
        numbers[y, x] = number
        for near, far in ((-7, -3), (3, 7)):
            pen.line([x + near, y, x + far, y], OUTLINE)
            pen.line([x, y + near, x, y + far], OUTLINE)
    picture.save(folder / f'{name}_asked.png')
    Image.fromarray(numbers).save(folder / f'{name}_units.png')
    return {
        **_listed(asking, sample),
        'units': f'{name}_units.png',
        'asked': [{'x': x, 'y': y} for y, x in at],
    }


def _ask_objects(folder: Path, asking: Asking, sample: int) -> dict[str, Any]:
    """Writes one image with the boxes and points asked about."""
    name = asking.manifest.file_names[sample]
    objects = BoxStore(asking.ledger.in_force()).boxes(sample)
    questions = asked_objects(asking, sample)
    picture = Image.fromarray(read_image(asking.manifest.paths[sample]))
    pen = ImageDraw.Draw(picture)
    for question in questions:
        i = question['instance']
        question['box'] = objects.boxes[i].tolist()
        question['class'] = asking.classes[int(objects.labels[i])]
        pen.rectangle(objects.boxes[i].tolist(), outline=OUTLINE)
        if 'x' in question:
            x, y = question['x'], question['y']
            pen.line([x - 4, y, x + 4, y], OUTLINE)
            pen.line([x, y - 4, x, y + 4], OUTLINE)
    picture.save(folder / f'{name}_asked.png')
    return {**_listed(asking, sample), 'asked': questions}


def _listed(asking: Asking, sample: int) -> dict[str, Any]:
    """What the list says of a sample in any case."""
    listed = {
        'name': asking.manifest.names[sample],
        'scan' if asking.scans else 'image': asking.manifest.paths[sample],
        'label': f'labels/{label_name(asking, sample)}',
    }
    if not asking.scans:
        listed['picture'] = f'{asking.manifest.file_names[sample]}_asked.png'
    return listed
