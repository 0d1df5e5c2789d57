"""Everything labelled so far as plain files that train without this package."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dense_al.datasets.label_map import label_map_text, with_unlabelled
from dense_al.datasets.scan_pool import read_input
from dense_al.datasets.scans import ScanRecord
from dense_al.datasets.semantic_kitti import CALIBRATION_FILE, POSES_FILE
from dense_al.datasets.semantic_kitti import FORMAT as KITTI
from dense_al.engine.reopen import answers_of, open_run, scans_of, units_of
from dense_al.engine.store import RunStore
from dense_al.pool import AnswerStore, InstanceStore, TagStore
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Boxes, Manifest, Tags

FORMATS = ('png', 'coco', 'scans')


def export(work_dir: Path, out: Path, form: str | None = None, copy_images: bool = False) -> int:
    """Writes what is labelled so far.

    Args:
        work_dir: The run.
        out: New or empty folder.
        form: One of `FORMATS`: `png` for labels of pixels, `coco` for boxes and tags, `scans` for
            labels of points, in the layout of SemanticKITTI whatever the layout of the pool; None:
            the one that suits the labels.
        copy_images: Copy the images instead of linking them.

    Returns:
        Number of samples written: those with at least one answer.

    Raises:
        FileNotFoundError: No run.
        ConfigError: Labels of another form, or `out` holds files.
    """
    run = open_run(work_dir)
    manifest, answers, recorded = run.manifest(), answers_of(run), run.environment()
    boxes = any(label.is_in(a.payload) for a in answers for label in (Boxes, Tags))
    fitting = 'coco' if boxes else 'scans' if recorded.get('scan_columns') else 'png'
    form = form or fitting
    if answers and form != fitting:
        raise ConfigError(f'Expected the format {fitting!r} for these labels, but got {form!r}')
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f'Expected {out} to be new or empty, but it holds files')
    out.mkdir(parents=True, exist_ok=True)
    if form == 'coco':
        store = InstanceStore(answers, manifest.widths)
        samples = _coco(manifest, store, recorded['classes'], out)
        tags = TagStore([a for a in answers if a.kind == 'tags'])
        samples = sorted({*samples, *_tags(manifest, tags, recorded['classes'], out)})
    elif form == 'scans':
        samples = _scans(run, manifest, answers, out, copy_images)
    else:
        samples = _png(manifest, AnswerStore(answers, manifest, units_of(run)), out)
    for sample in samples if form != 'scans' else ():
        _place(manifest.paths[sample], out / 'images' / manifest.names[sample], copy_images)
    text = '\n'.join(recorded['classes']) + '\n'
    (out / 'classes.txt').write_text(text, encoding='utf-8')
    return len(samples)


def _png(manifest: Manifest, answers: AnswerStore, out: Path) -> list[int]:
    """`labels/`: 8-bit PNG, the class index in answered units and 255 elsewhere."""
    for sample in answers.samples:
        label = out / 'labels' / f'{manifest.stems[sample]}.png'
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(answers.dense_labels(sample)).save(label)
    return answers.samples


def _scans(
    run: RunStore, manifest: Manifest, answers: list[Answer], out: Path, copy: bool
) -> list[int]:
    """`sequences/` as in SemanticKITTI and `label_map.yaml`, the label map to read it with.

    Labels are those of the data set, one that belongs to no class where nothing was answered.
    """
    scans = scans_of(run)
    store = AnswerStore(answers, manifest, units_of(run, scans))
    label_map, unlabelled = with_unlabelled(scans.label_map)
    raw = np.full(256, unlabelled, '<u4')
    for label, number in sorted(label_map.class_of.items(), reverse=True):
        raw[number] = label
    for sample in store.samples:
        record = scans.records[sample]
        folder, frame = out / 'sequences' / record.sequence, f'{record.frame:06d}'
        for name in ('labels', 'velodyne'):
            (folder / name).mkdir(parents=True, exist_ok=True)
        raw[store.dense_labels(sample).ravel()].tofile(folder / 'labels' / f'{frame}.label')
        points = folder / 'velodyne' / f'{frame}.bin'
        if scans.format == KITTI:
            _place(manifest.paths[sample], points, copy)
        else:
            read_input(scans, record).astype('<f4').tofile(points)
    for name in sorted({scans.records[sample].sequence for sample in store.samples}):
        drive = [record for record in scans.records if record.sequence == name]
        _poses(drive, out / 'sequences' / name)
    (out / 'label_map.yaml').write_text(label_map_text(label_map), encoding='utf-8')
    return store.samples


def _poses(drive: list[ScanRecord], folder: Path) -> None:
    """Poses of a sequence, those of frames that the pool does not have left at the origin."""
    poses = np.tile(np.eye(4), (max(record.frame for record in drive) + 1, 1, 1))
    for record in drive:
        poses[record.frame] = record.pose
    # As many digits as bring the same numbers back, and a camera at the place of the LiDAR.
    np.savetxt(folder / POSES_FILE, poses[:, :3].reshape(-1, 12), fmt='%.17g')
    row = ' '.join(f'{value:g}' for value in np.eye(4)[:3].ravel())
    (folder / CALIBRATION_FILE).write_text(f'Tr: {row}\n', encoding='utf-8')


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
    """Puts an image or a scan beside its label."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(os.path.abspath(source))
