"""Everything labelled so far as plain files that train without this package."""

import json
import shutil
from pathlib import Path

from PIL import Image

from dense_al.engine.store import RunStore
from dense_al.pool import AnswerStore
from dense_al.regions import build_regions
from dense_al.registry import ConfigError
from dense_al.structures import Manifest

FORMATS = ('png',)


def load_answers(work_dir: Path) -> tuple[Manifest, AnswerStore, list[str]]:
    """Manifest, label maps and class names of a run, whatever round it has reached.

    Raises:
        ConfigError: The folder holds no run.
    """
    if not (work_dir / 'manifest.parquet').is_file():
        raise ConfigError(f'Expected a run (manifest.parquet) in {work_dir}, but found none')
    manifest = Manifest.load(work_dir / 'manifest.parquet')
    recorded = json.loads((work_dir / 'environment.json').read_text(encoding='utf-8'))
    units = build_regions(recorded['regions'], manifest, recorded['cache_dir'])
    store = RunStore(work_dir)
    rounds = len(list((work_dir / 'rounds').glob('*'))) if (work_dir / 'rounds').is_dir() else 0
    ledger = store.ledger(before=rounds)
    return manifest, AnswerStore(ledger.in_force(), manifest, units), recorded['classes']


def export_png(work_dir: Path, out: Path, copy_images: bool = False) -> int:
    """Writes `images/` and `labels/` with equal names, and `classes.txt`.

    Args:
        work_dir: The run.
        out: New or empty folder.
        copy_images: Copy the images instead of linking them.

    Returns:
        Number of samples written: those with at least one answer. Labels are 8-bit PNG, the class
        index in answered units and 255 elsewhere.

    Raises:
        ConfigError: No run, or `out` holds files.
    """
    manifest, answers, classes = load_answers(work_dir)
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f'Expected {out} to be new or empty, but it holds files')
    for sample in answers.samples:
        name = Path(manifest.names[sample])
        image, label = out / 'images' / name, (out / 'labels' / name).with_suffix('.png')
        for file in (image, label):
            file.parent.mkdir(parents=True, exist_ok=True)
        if copy_images:
            shutil.copyfile(manifest.paths[sample], image)
        else:
            image.symlink_to(manifest.paths[sample])
        Image.fromarray(answers.dense_labels(sample)).save(label)
    (out / 'classes.txt').write_text('\n'.join(classes) + '\n', encoding='utf-8')
    return len(answers.samples)
