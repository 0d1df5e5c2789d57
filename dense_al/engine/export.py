"""Everything labelled so far as plain files that train without this package."""

import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from dense_al.engine.store import RunStore
from dense_al.pool import AnswerStore, InstanceStore, TagStore
from dense_al.regions import build_regions
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Manifest, holds_boxes, holds_tags

FORMATS = ('png', 'coco')


def load_answers(work_dir: Path) -> tuple[Manifest, list[Answer], dict[str, Any]]:
    """Manifest, answers in force and `environment.json` of a run, whatever round it has reached.

    Raises:
        ConfigError: The folder holds no run.
    """
    if not (work_dir / 'manifest.parquet').is_file():
        raise ConfigError(f'Expected a run (manifest.parquet) in {work_dir}, but found none')
    manifest = Manifest.load(work_dir / 'manifest.parquet')
    recorded = json.loads((work_dir / 'environment.json').read_text(encoding='utf-8'))
    store = RunStore(work_dir)
    rounds = len(list((work_dir / 'rounds').glob('*'))) if (work_dir / 'rounds').is_dir() else 0
    return manifest, store.ledger(before=rounds).in_force(), recorded


def export(work_dir: Path, out: Path, form: str, copy_images: bool = False) -> int:
    """Writes what is labelled so far.

    Args:
        work_dir: The run.
        out: New or empty folder.
        form: One of `FORMATS`: `png` for labels of pixels, `coco` for boxes and tags.
        copy_images: Copy the images instead of linking them.

    Returns:
        Number of samples written: those with at least one answer.

    Raises:
        ConfigError: No run, labels of another form, or `out` holds files.
    """
    manifest, answers, recorded = load_answers(work_dir)
    holds = (holds_boxes, holds_tags)
    boxes = any(check(a.payload) for a in answers for check in holds)
    if answers and boxes != (form == 'coco'):
        fitting = 'coco' if boxes else 'png'
        raise ConfigError(f'Expected the format {fitting!r} for these labels, but got {form!r}')
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f'Expected {out} to be new or empty, but it holds files')
    out.mkdir(parents=True, exist_ok=True)
    if form == 'coco':
        store = InstanceStore(answers, manifest.widths)
        samples = _coco(manifest, store, recorded['classes'], out)
        tags = TagStore([a for a in answers if a.kind == 'tags'])
        samples = sorted({*samples, *_tags(manifest, tags, recorded['classes'], out)})
    else:
        units = build_regions(recorded['regions'], manifest, recorded['cache_dir'])
        samples = _png(manifest, AnswerStore(answers, manifest, units), out)
    for sample in samples:
        _place(manifest.paths[sample], out / 'images' / manifest.names[sample], copy_images)
    text = '\n'.join(recorded['classes']) + '\n'
    (out / 'classes.txt').write_text(text, encoding='utf-8')
    return len(samples)


def _png(manifest: Manifest, answers: AnswerStore, out: Path) -> list[int]:
    """`labels/`: 8-bit PNG, the class index in answered units and 255 elsewhere."""
    for sample in answers.samples:
        label = (out / 'labels' / manifest.names[sample]).with_suffix('.png')
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(answers.dense_labels(sample)).save(label)
    return answers.samples


def _coco(manifest: Manifest, answers: InstanceStore, classes: list[str], out: Path) -> list[int]:
    """`annotations.json` in the COCO format; images without objects are listed too.

    Objects have `segmentation` where their mask is known, and `point_coords` and `point_labels`
    where points are.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for sample in answers.samples:
        height, width = (int(v) for v in manifest.size(sample))
        name = manifest.names[sample]
        images.append({'id': sample, 'file_name': name, 'height': height, 'width': width})
        objects = answers.boxes(sample)
        known = zip(answers.points(sample), answers.masks(sample))
        for box, label, (points, mask) in zip(
            objects.boxes.tolist(), objects.labels.tolist(), known
        ):
            x1, y1, x2, y2 = box
            annotation = {
                'id': len(annotations) + 1,
                'image_id': sample,
                'category_id': label + 1,
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'area': (x2 - x1) * (y2 - y1),
                'iscrowd': 0,
            }
            if mask is not None:
                annotation['segmentation'] = mask.rle()
            if len(points[1]):
                annotation['point_coords'] = points[0].tolist()
                annotation['point_labels'] = points[1].tolist()
            annotations.append(annotation)
    categories = [{'id': i + 1, 'name': name} for i, name in enumerate(classes)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    (out / 'annotations.json').write_text(json.dumps(content), encoding='utf-8')
    return answers.samples


def _tags(manifest: Manifest, tags: TagStore, classes: list[str], out: Path) -> list[int]:
    """`tags.json`: name of the image -> names of the classes in it; not where none were asked."""
    content = {}
    for sample in tags.samples:
        known = tags.tags(sample)
        assert known is not None
        content[manifest.names[sample]] = [classes[c] for c in known]
    if content:
        (out / 'tags.json').write_text(json.dumps(content, indent=1), encoding='utf-8')
    return tags.samples


def _place(source: str, target: Path, copy: bool) -> None:
    """Puts an image beside its label."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(source)
