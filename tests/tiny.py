"""Every shipped config on tiny generated files, which lie where the config looks for them.

Configs name their data by paths below `data/`, so they are run in a folder that has such files.
"""

import copy
import functools
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from domain_layouts import write_cityscapes, write_gta5, write_synthia
from layouts import write_coco, write_voc
from PIL import Image
from scan_layouts import write_nuscenes, write_semantic_kitti

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
sys.path.insert(0, str(ROOT / 'tools'))
SPECS = {
    'streets': dict(n_train=8, n_val=3, n_source=4, height=48, width=96),
    'glyphs': dict(n_train=12, n_val=4),
    'town': dict(n_train_sequences=2, n_val_sequences=1, frames=6, val_frames=2, beams=12,
                 columns=120),
}  # fmt: skip


def shipped():
    """Paths of all configs that are no fragments, relative to the folder `configs`."""
    paths = (path.relative_to(CONFIGS) for path in CONFIGS.rglob('*.py'))
    return sorted(str(path) for path in paths if path.parts[0] != '_base_')


def tiny_config(name):
    """As `_tiny_config`, which is made once."""
    return copy.deepcopy(_tiny_config(name))


@functools.cache
def _tiny_config(name):
    """A shipped config as plain data, of a size that a tiny pool can fill.

    Args:
        name: Path below `configs`.
    """
    from dense_al.config import load_config

    cfg = load_config(CONFIGS / name).to_dict()
    sandbox = cfg.get('sandbox')
    if sandbox is not None:
        sandbox['spec'] = {**sandbox.get('spec', {}), **SPECS[sandbox['world']]}
        if sandbox['world'] == 'glyphs':  # of any share of the side, they need eight pixels
            sandbox['spec']['side'] = 64 if sandbox['spec'].get('scale_low', 0.25) >= 0.2 else 128
        if 'pretrain' in sandbox:
            sandbox['pretrain'] = {**sandbox['pretrain'], 'scenes': 12, 'iterations': 1}
    first = cfg['rounds'].get('initial') or {}
    for budget, percent in ((cfg['budget'], 20), (first.get('budget') or {}, 40)):
        if budget.get('unit', 'units') == 'units' and budget:
            budget['per_round'] = 1
        elif budget.get('unit') == 'percent' and budget['per_round'] < 100:
            budget['per_round'] = percent  # of so few samples, one is no less
    rounds = cfg['rounds']
    rounds['count'] = min(rounds['count'], 3)
    if isinstance(rounds.get('iterations'), (list, tuple)):
        rounds['iterations'] = rounds['iterations'][: rounds['count']]
    _shrink(cfg['model'])
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[loader].update(num_workers=0, persistent_workers=False)
    return cfg


def _shrink(model):
    """Makes a model small that takes seconds to build; nothing is ever shown to it."""
    resnet = str(model['backbone']['type']).startswith('ResNet')
    if resnet and model['backbone']['depth'] > 18:
        model['backbone']['depth'] = 18
    if 'channels' in model.get('decode_head', {}):
        model['decode_head']['channels'] = 8
    head = model.get('roi_head', {})
    if 'fc_channels' in head:
        head['fc_channels'] = (32, 32)
    if 'fc_out_channels' in head.get('bbox_head', {}):
        head['bbox_head']['fc_out_channels'] = 32


def write_data(folder, name):
    """Writes below `folder` what a shipped config reads, unless it is there.

    Args:
        folder: Where the config will be run.
        name: Path below `configs`.
    """
    kind, stem = name.split('/')
    data = Path(folder) / 'data'
    data.mkdir(exist_ok=True)
    for part, (made, write) in WRITERS.items():
        kinds, _, stems = part.partition('/')
        if kind == kinds and stem.startswith(stems) and not (data / made).exists():
            write(data)


def _domains(write):
    def both(data):
        if not (data / 'cityscapes').exists():
            write_cityscapes(data, train=4, val=2)
        write(data, 3)

    return both


def _scans(data):
    """nuScenes with the lists of scenes that its devkit has, and SemanticKITTI."""
    root = write_nuscenes(data, n_frames=6, labels=True).root
    (root / 'train.txt').write_text('scene-0003\n')
    (root / 'val.txt').write_text('scene-0061\n')
    for part in ('v1.0-mini', 'lidarseg/v1.0-mini'):
        (root / part).rename(root / part.replace('mini', 'trainval'))
    for path in (root / 'v1.0-trainval').glob('*.json'):
        path.write_text(path.read_text().replace('v1.0-mini', 'v1.0-trainval'))


def _kitti(data):
    """SemanticKITTI with the sequences of its split."""
    sequences = [f'{number:02d}' for number in range(11)]
    return write_semantic_kitti(data, sequences, n_frames=2).root


def _proposals(data):
    """VOC and COCO with proposals where the configs look for them."""
    import make_proposals

    voc, coco = write_voc(data), write_coco(data)
    jobs = [
        (voc.root, ('train', 'val'), ['--sets', 'trainval'], 'VOCdevkit', 'voc_2007_trainval'),
        (voc.root, ('test',), ['--sets', 'test'], 'VOCdevkit', 'voc_2007_test'),
    ]
    for split in ('train2014', 'val2014'):
        source = coco.root / 'annotations' / f'instances_{split}.json'
        jobs.append((source, (split,), [], 'coco', f'coco_2014_{split[:-4]}'))
    for source, parts, more, root, name in jobs:
        layout = voc if root == 'VOCdevkit' else coco
        out = data / root / 'proposals' / f'{name}.pkl'
        out.parent.mkdir(exist_ok=True)
        given = [str(layout.pickles[part]) for part in parts]
        command = [str(source), *more, '--out', str(out), '--from', *given]
        assert make_proposals.main(command) == 0


def write_coco17(folder):
    """`folder/coco` with `train2017` and `val2017`: glyphs under the names of COCO's classes."""
    from mmdet.datasets import CocoDataset

    from dense_al.sandbox import GlyphsSpec, write_glyphs

    world = write_glyphs(
        folder / 'glyphs17', GlyphsSpec(n_train=4, n_val=2, scale_low=0.25, scale_high=0.5)
    )
    root = folder / 'coco'
    (root / 'annotations').mkdir(parents=True, exist_ok=True)
    for split in ('train', 'val'):
        (root / f'{split}2017').symlink_to(world / 'images' / split)
        found = json.loads((world / f'annotations/instances_{split}.json').read_text())
        names = CocoDataset.METAINFO['classes']
        found['categories'] = [dict(id=i + 1, name=name) for i, name in enumerate(names)]
        path = root / f'annotations/instances_{split}2017.json'
        path.write_text(json.dumps(found))
    return root


def write_nuclei(folder):
    """`folder/dsb2018_nuclei`: discs on dark ground; lists of images, with boxes and masks."""
    return _discs(folder / 'dsb2018_nuclei', ('nucleus',), 'images', [
        f'instances_{domain}_{split}.json'
        for domain in ('fluorescence', 'histology') for split in ('train', 'val')])  # fmt: skip


def write_bccd(folder):
    """`folder/bccd`: discs of three classes."""
    files = [f'instances_{split}.json' for split in ('train', 'val')]
    return _discs(folder / 'bccd', ('RBC', 'WBC', 'Platelets'), 'images', files)


def write_pandaset(folder):
    """`folder/pandaset02_lidar`: a generated drive with a label map of its own."""
    from dense_al.sandbox import TownSpec, write_town

    root = write_town(folder / 'pandaset02_lidar', TownSpec(**SPECS['town']))
    shutil.copy(root / 'town.yaml', root / 'pandaset.yaml')
    return root


def _discs(root, classes, images, files, n_images=4, side=64):
    """Images of discs with COCO files; each image has two of them."""
    (root / images).mkdir(parents=True)
    (root / 'instance_png').mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    for file in files:
        listed, annotations = [], []
        for i in range(n_images):
            name = f'{Path(file).stem}_{i}.png'
            instances = np.zeros((side, side), np.uint16)
            for k in range(2):
                cy, cx, radius = 16 + 32 * k, int(rng.integers(16, 48)), int(rng.integers(6, 12))
                instances[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k + 1
                left, top, size = cx - radius, cy - radius, 2 * radius + 1
                corners = [left, top, left + size, top, left + size, top + size, left, top + size]
                annotations.append(dict(
                    id=len(annotations) + 1, image_id=i, category_id=k % len(classes) + 1,
                    bbox=[left, top, size, size], area=size**2, iscrowd=0,
                    segmentation=[corners]))  # fmt: skip
            picture = np.repeat((60 + 90 * (instances > 0))[..., None], 3, axis=2)
            Image.fromarray(picture.astype(np.uint8)).save(root / images / name)
            Image.fromarray(instances).save(root / 'instance_png' / name)
            listed.append(dict(id=i, file_name=name, height=side, width=side))
        categories = [dict(id=i + 1, name=name) for i, name in enumerate(classes)]
        content = dict(images=listed, annotations=annotations, categories=categories)
        (root / file).write_text(json.dumps(content))
    return root


# Beginning of a config's path -> what is written, and how.
WRITERS = {
    'apis/coco': ('coco/train2017', write_coco17),
    'apis/nuclei': ('dsb2018_nuclei', write_nuclei),
    'segmentation/nuclei': ('dsb2018_nuclei', write_nuclei),
    'd2ada/nuclei': ('dsb2018_nuclei', write_nuclei),
    'd2ada/gta5': ('gta5', _domains(write_gta5)),
    'd2ada/synthia': ('synthia', _domains(write_synthia)),
    'detection/bccd': ('bccd', write_bccd),
    'bib/': ('VOCdevkit', _proposals),
    'lidal/nuscenes': ('nuscenes', _scans),
    'lidal/semantic_kitti': (
        'semantic_kitti',
        lambda data: _kitti(data).rename(data / 'semantic_kitti'),
    ),
    'lidal/pandaset': ('pandaset02_lidar', write_pandaset),
}
