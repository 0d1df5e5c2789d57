"""The world `glyphs` on disk: images, COCO files, contact sheet."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from dense_al.sandbox.glyphs import (
    GLYPHS_SPLITS,
    VERSION,
    GlyphScene,
    GlyphsSpec,
    glyph_parts,
    glyphs_name,
    render_glyphs,
)
from dense_al.sandbox.streets_files import write_world


def describe_glyphs(spec: GlyphsSpec) -> dict[str, Any]:
    """The contents of `world.json`: plain JSON data."""
    return {
        'world': 'glyphs',
        'version': VERSION,
        'spec': dataclasses.asdict(spec),
        'classes': list(spec.classes),
        'counts': {split: spec.count(split) for split in GLYPHS_SPLITS},
        'inputs': {name: _digest(getattr(spec, name)) for name in ('idx_root', 'backgrounds')},
    }


def _digest(folder: str) -> str:
    """A hash over names and sizes of the files of a folder; empty without a folder."""
    if not folder:
        return ''
    files = sorted(path for path in Path(folder).rglob('*') if path.is_file())
    rows = [(p.relative_to(folder).as_posix(), p.stat().st_size) for p in files]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def write_glyphs(
    root: str | os.PathLike[str], spec: GlyphsSpec | None = None, *, overwrite: bool = False
) -> Path:
    """Writes a world to disk, unless it is there already.

    Images lie at `images/<split>/<sequence>_<frame>.png`, COCO files with boxes and masks at
    `annotations/instances_<split>.json`, the description in `world.json`. `file_name` is relative
    to the folder of the split; `part_bbox` is the box of the glyph alone. An interrupted run
    leaves no world; several processes may write the same one at once.

    Args:
        root: Folder of the world.
        spec: The world; the default spec where None.
        overwrite: Replace another world at `root`.

    Returns:
        The absolute path of `root`.

    Raises:
        ValueError: `root` holds another world or something that is none.
        ImportError: pycocotools is not installed; it comes with the extra `mm`.
    """
    spec = GlyphsSpec() if spec is None else spec

    def fill(folder: Path) -> None:
        (folder / 'annotations').mkdir()
        for split in GLYPHS_SPLITS:
            (folder / 'images' / split).mkdir(parents=True)
            text = json.dumps(_draw_split(spec, split, folder / 'images' / split))
            (folder / _annotations(split)).write_text(text + '\n', encoding='utf-8')

    names = [_annotations(split) for split in GLYPHS_SPLITS]
    for split in GLYPHS_SPLITS:
        for index in range(spec.count(split)):
            names.append(f'images/{split}/{glyphs_name(spec, split, index)}.png')
    return write_world(root, describe_glyphs(spec), names, fill, overwrite=overwrite)


def _annotations(split: str) -> str:
    return f'annotations/instances_{split}.json'


def _draw_split(spec: GlyphsSpec, split: str, folder: Path) -> dict[str, Any]:
    """Writes the images of a split into a folder; returns its COCO data."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(spec.count(split)):
        scene = render_glyphs(spec, split, index)
        name = f'{glyphs_name(spec, split, index)}.png'
        Image.fromarray(scene.image).save(folder / name, compress_level=1)
        images.append(dict(id=index, file_name=name, height=spec.side, width=spec.side))
        for entry in _objects(scene, glyph_parts(spec, split, index)):
            annotations.append(dict(id=len(annotations) + 1, image_id=index, **entry))
    return {
        'info': {'description': f'Generated glyphs, {split}', 'version': str(VERSION)},
        'images': images,
        'annotations': annotations,
        'categories': [dict(id=i + 1, name=name) for i, name in enumerate(spec.classes)],
    }


def _objects(scene: GlyphScene, parts: np.ndarray) -> Iterator[dict[str, Any]]:
    """COCO entries of the objects of a scene, without ids."""
    from pycocotools import mask as coco_mask

    for box, part, label, mask in zip(scene.boxes, parts, scene.labels, scene.masks):
        code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        yield {
            'category_id': int(label) + 1,
            'bbox': _xywh(box),
            'part_bbox': _xywh(part),
            'area': int(mask.sum()),
            'iscrowd': 0,
            'segmentation': dict(size=list(code['size']), counts=code['counts'].decode('ascii')),
        }


def _xywh(box: np.ndarray) -> list[float]:
    """COCO's form of a box x1, y1, x2, y2."""
    return [float(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])]


def glyphs_sheet(spec: GlyphsSpec, per_split: int = 16, columns: int = 8) -> np.ndarray:
    """A picture of scenes, split by split; below each row the same scenes with boxes and classes.

    Args:
        spec: The world.
        per_split: First scenes of each split, so that the frames of a sequence lie side by side.
        columns: Scenes side by side.

    Returns:
        (rows, columns, 3) uint8 RGB.
    """
    zoom = max(1, round(192 / spec.side))
    tall = np.zeros((2 * zoom * spec.side, zoom * spec.side, 3), np.uint8)
    rows = []
    for split in GLYPHS_SPLITS:
        tiles = [_tile(spec, split, i, zoom) for i in range(min(per_split, spec.count(split)))]
        tiles += [tall] * (-len(tiles) % columns)
        rows += [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows) if rows else tall


def _tile(spec: GlyphsSpec, split: str, index: int, zoom: int) -> np.ndarray:
    """A scene enlarged, above the same with boxes and classes."""
    scene = render_glyphs(spec, split, index)
    plain = Image.fromarray(np.kron(scene.image, np.ones((zoom, zoom, 1), np.uint8)))
    marked = plain.copy()
    draw = ImageDraw.Draw(marked)
    for box, part, label in zip(scene.boxes, glyph_parts(spec, split, index), scene.labels):
        for each, colour in ((part, (255, 255, 255)), (box, (255, 40, 40))):
            x1, y1, x2, y2 = (zoom * float(v) for v in each)
            draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour)
        draw.text((zoom * box[0] + 2, zoom * box[1] + 1), spec.classes[label], (255, 255, 0))
    return np.vstack([np.asarray(plain), np.asarray(marked)])
