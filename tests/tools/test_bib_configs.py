"""BiB's configs on VOC 2007 and COCO 2014 as they lie on a disk: they load, build and run."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet')
ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'bib'
sys.path[:0] = [str(ROOT / 'tools'), str(ROOT / 'tests')]

from layouts import write_coco, write_voc  # noqa: E402

from dense_al.engine import INITIAL, RunStore  # noqa: E402
from dense_al.engine.main import main  # noqa: E402
from dense_al.structures import Boxes, Manifest, Tags  # noqa: E402

SMALL = """
_base_ = ['{base}']
small = [dict(type='Resize', scale=(96, 96), keep_ratio=True)]
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadProposals', num_max_proposals=30),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='ProposalBroadcaster', transforms=[*small, dict(type='RandomFlip', prob=0.5)]),
    dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadProposals', num_max_proposals=30),
    dict(type='ProposalBroadcaster', transforms=small),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
workers = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, **workers, dataset=dict(
    data_root='{root}/', proposal_file='{train}', pipeline=train_pipeline))
val_dataloader = dict(**workers, dataset=dict(
    data_root='{root}/', proposal_file='{val}', pipeline=test_pipeline))
test_dataloader = val_dataloader
env_cfg = dict(dist_cfg=dict(backend='gloo'))
model = dict(
    backbone=dict(init_cfg=None),
    roi_head=dict(fc_channels=(32, 32), shared_init=None, bbox_roi_extractor=dict(
        roi_layer=dict(output_size=2))))
rounds = dict(count=2, iterations=[2, 1])
budget = dict(per_round=1)
{more}
"""


def proposals(folder, kind):
    import make_proposals as tool

    files = {}
    if kind == 'voc':
        layout = write_voc(folder)
        sets = {'trainval': ('train', 'val'), 'test': ('test',)}
        source = {split: str(layout.root) for split in sets}
        root, more = layout.root.parent, ['--sets']
    else:
        layout = write_coco(folder)
        sets = {'train2014': ('train2014',), 'val2014': ('val2014',)}
        source = {s: str(layout.root / 'annotations' / f'instances_{s}.json') for s in sets}
        root, more = layout.root, []
    for split, parts in sets.items():
        files[split] = folder / f'{split}.pkl'
        command = [source[split], *([*more, split] if more else []), '--out', str(files[split])]
        given = [str(layout.pickles[p]) for p in parts]
        assert tool.main([*command, '--from', *given]) == 0
    return root, *files.values()


@pytest.fixture(scope='module', params=['voc', 'coco'])
def data(request, tmp_path_factory):
    return request.param, proposals(tmp_path_factory.mktemp(request.param), request.param)


def config(tmp_path, method, data):
    kind, (root, train, val) = data
    name = {'voc': 'voc07', 'coco': 'coco14'}[kind]
    more = ''
    if kind == 'coco':
        more = f"val_evaluator = dict(ann_file='{root}/annotations/instances_val2014.json')"
    path = tmp_path / f'{method}.py'
    path.write_text(
        SMALL.format(
            base=CONFIGS / f'{name}_{method}.py', root=root, train=train, val=val, more=more
        )
    )
    return str(path)


METHODS = ['u_random', 'b_random', 'entropy_max', 'entropy_sum', 'loss', 'coreset', 'coreset_ent']


def test_one_round_on_the_real_formats(tmp_path, data):
    assert main([config(tmp_path, 'bib', data), '--work-dir', str(tmp_path / 'run')]) == 0
    store = RunStore(tmp_path / 'run')
    tags, (boxes,) = store.answers(INITIAL), store.answers(0)
    assert {a.kind for a in tags} == {'tags'} and len(tags) == (5 if data[0] == 'voc' else 3)
    assert boxes.kind == 'image'
    known = {a.sample: set(Tags.decode(a.payload).labels.tolist()) for a in tags}
    assert set(Boxes.decode(boxes.payload).labels.tolist()) == known[boxes.sample]
    for answer in tags:
        assert answer.seconds == answer.clicks == len(known[answer.sample])
        assert answer.elements == 0
    assert np.isfinite(store.read(1, 'train')['value'])
    check_export(tmp_path, known)
    assert store.read(1, 'train')['labelled']['units'] == len(tags) + 1


def check_export(tmp_path, known):
    import al_export

    out = tmp_path / 'out'
    assert al_export.main([str(tmp_path / 'run'), '--out', str(out), '--format', 'coco']) == 0
    assert len(json.loads((out / 'annotations.json').read_text())['images']) == 1
    manifest = Manifest.load(tmp_path / 'run/manifest.parquet')
    classes = (out / 'classes.txt').read_text().split('\n')
    tags = json.loads((out / 'tags.json').read_text())
    wanted = {manifest.names[s]: {classes[c] for c in found} for s, found in known.items()}
    assert {name: set(found) for name, found in tags.items()} == wanted
    assert len([p for p in (out / 'images').rglob('*') if p.is_file()]) == len(known)


@pytest.mark.parametrize('method', METHODS)
def test_the_baselines_build(tmp_path, data, method, capsys):
    path = config(tmp_path, method, data)
    assert main([path, '--work-dir', str(tmp_path / 'run'), '--dry-run']) == 0
    out = capsys.readouterr().out
    assert '% of the pool and the tags of 100 %' in out and '1 clicks for each tag' in out


@pytest.mark.parametrize('method', ['b_random', 'entropy_max', 'loss', 'coreset_ent'])
def test_the_baselines_run(tmp_path, data, method):
    if data[0] == 'coco':
        pytest.skip('one data set is enough')
    path = config(tmp_path, method, data)
    assert main([path, '--work-dir', str(tmp_path / 'run')]) == 0
    assert len(RunStore(tmp_path / 'run').answers(0)) == 1


@pytest.mark.parametrize('method', ['bib', 'b_random'])
def test_the_sandbox_of_weak_supervision_keeps_method_and_tags(method):
    from dense_al.config import apply_sandbox, load_config

    small = apply_sandbox(load_config(CONFIGS / f'coco14_{method}.py'), ROOT / 'configs')
    assert small.sandbox.root == 'data/glyph_parts' and small.model.roi_head.type == 'WeakRoIHead'
    assert small.rounds.iterations == [1000, 300, 300, 300, 300, 300]
    assert small.rounds.initial.acquisition.type == 'ImageTags'
    assert small.rounds.initial.budget == dict(per_round=100, unit='percent')
    assert small.budget == dict(per_round=12, unit='units') and small.rounds.start == 'initial'


@pytest.mark.parametrize(
    'asked',
    [
        "rounds = dict(initial=dict(acquisition=dict(type='ImageTags')))",
        "acquisition = dict(_delete_=True, type='ImageTags')",
    ],
)
def test_tags_need_a_model_that_learns_from_them(tmp_path, caplog, asked):
    base = ROOT / 'configs/sandbox/glyphs_random.py'
    path = tmp_path / 'wrong.py'
    path.write_text(
        f"_base_ = ['{base}']\n"
        f"sandbox = dict(root='{tmp_path}/w', spec=dict(n_train=2, n_val=1, side=64),"
        f" pretrain=dict(checkpoint='{tmp_path}/w.pth', scenes=10, iterations=1))\n"
        f"train_dataloader = dict(dataset=dict(data_root='{tmp_path}/w'))\n"
        f"model = dict(backbone=dict(init_cfg=dict(checkpoint='{tmp_path}/w.pth')))\n"
        f'{asked}\n'
    )
    assert main([str(path), '--work-dir', str(tmp_path / 'run'), '--dry-run']) == 2
    assert 'a model that learns from tags' in caplog.text and 'WeakRoIHead' in caplog.text


def test_boxes_that_were_not_asked_change_nothing(tmp_path):
    from xml.etree import ElementTree

    data = 'voc', proposals(tmp_path, 'voc')
    path = config(tmp_path, 'bib', data)
    assert main([path, '--work-dir', str(tmp_path / 'a')]) == 0
    first = RunStore(tmp_path / 'a')
    manifest = Manifest.load(tmp_path / 'a/manifest.parquet')
    asked = {manifest.names[a.sample] for a in first.answers(0)}
    changed = 0
    for name in manifest.names:
        if name in asked:
            continue
        file = data[1][0] / 'VOC2007/Annotations' / Path(name).with_suffix('.xml').name
        tree = ElementTree.parse(file)
        for box in tree.iter('bndbox'):  # the tags, which were asked, stay
            for side, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), (3, 4, 21, 17)):
                box.find(side).text = str(value)
            changed += 1
        tree.write(file)
    assert changed > 3
    assert main([path, '--work-dir', str(tmp_path / 'b')]) == 0
    second = RunStore(tmp_path / 'b')
    for r in (0, 1):
        a, b = (
            torch.load(s.checkpoint(r), weights_only=True)['state_dict'] for s in (first, second)
        )
        assert all(torch.equal(a[k], b[k]) for k in a)
        assert first.answers(r) == second.answers(r)
    assert first.answers(INITIAL) == second.answers(INITIAL)
