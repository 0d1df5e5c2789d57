"""The tool that makes and converts proposals: whole files, resumed, the same for any processes."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dense_al.proposals import (
    ProposalFileError,
    ProposalSpec,
    list_images,
    make_proposals,
    propose_boxes,
    read_mmdet,
)
from dense_al.regions.images import ImageError
from dense_al.sandbox import GlyphsSpec, write_glyphs

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
sys.path.insert(0, str(TOOLS))
SPEC = GlyphsSpec(n_train=5, n_val=3)
CONFIG = """
train_dataloader = dict(dataset=dict(
    type='RepeatDataset', times=2, dataset=dict(
        type='CocoDataset', data_root='{root}', proposal_file='not_yet.pkl',
        ann_file='annotations/instances_train.json', data_prefix=dict(img='images/train/'),
        filter_cfg=dict(filter_empty_gt=True), metainfo=dict(classes=('nothing',)))))
val_dataloader = dict(dataset=dict(
    type='CocoDataset', data_root='{root}', ann_file='annotations/instances_val.json',
    data_prefix=dict(img='images/val/')))
test_dataloader = val_dataloader
sandbox = dict(world='glyphs', root='{root}', spec=dict(n_train=5, n_val=3))
"""


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return write_glyphs(tmp_path_factory.mktemp('data') / 'glyphs', SPEC)


def images_of(world, split='train'):
    return list_images(world / 'annotations' / f'instances_{split}.json')[split]


def test_all_images_of_a_folder(world, tmp_path, capsys):
    import make_proposals as tool

    out = tmp_path / 'proposals.pkl'
    assert tool.main([str(world / 'images'), '--out', str(out), '--max-boxes', '40']) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'proposals_train.pkl',
        'proposals_val.pkl',
    ]
    for split in ('train', 'val'):
        found = read_mmdet(tmp_path / f'proposals_{split}.pkl')
        files = sorted((world / 'images' / split).iterdir())
        assert list(found) == [f'{split}/{p.name}' for p in files]
        for path, (boxes, scores) in zip(files, found.values()):
            wanted = propose_boxes(np.asarray(Image.open(path)), ProposalSpec(max_boxes=40))
            np.testing.assert_array_equal(boxes, wanted)
            assert scores[0] == 1 and (np.diff(scores) < 0).all() and scores[-1] > 0
    assert 'proposals of 5 images' in capsys.readouterr().out
    assert tool.main([str(world / 'images'), '--out', str(out)]) == 2
    assert 'proposals_train.pkl' in capsys.readouterr().err


def test_processes_change_nothing(world, tmp_path):
    files = [make_proposals(images_of(world), tmp_path / f'{n}.pkl', jobs=n) for n in (1, 2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_stopped_run_goes_on(world, tmp_path, monkeypatch):
    whole = make_proposals(images_of(world), tmp_path / 'whole.pkl', jobs=1).read_bytes()
    seen = []

    def stop(image, spec):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(image)
        return propose_boxes(image, spec)

    out = tmp_path / 'new.pkl'
    monkeypatch.setattr('dense_al.proposals.making.propose_boxes', stop)
    with pytest.raises(KeyboardInterrupt):
        make_proposals(images_of(world), out, jobs=1)
    part = tmp_path / 'new.pkl.part'
    assert not out.exists() and part.exists()
    part.write_bytes(part.read_bytes()[:-7])  # killed while it wrote the third
    seen.clear()
    monkeypatch.setattr('dense_al.proposals.making.propose_boxes', lambda image, spec: (
        seen.append(image), propose_boxes(image, spec))[1])  # fmt: skip
    make_proposals(images_of(world), out, jobs=1)
    assert len(seen) == 3 and out.read_bytes() == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ['new.pkl', 'whole.pkl']


def test_another_maker_or_image_starts_anew(world, tmp_path):
    images, out = images_of(world), tmp_path / 'new.pkl'
    part = tmp_path / 'new.pkl.part'

    def begun(key, name):
        wrong = np.array([[0, 0, 3, 3]], np.float32)
        part.write_bytes(pickle.dumps(key, 4) + pickle.dumps((name, wrong), 4))
        return len(read_mmdet(make_proposals(images, out, jobs=1))[images[0].key].boxes)

    from dense_al.proposals.making import _name, spec_key

    key = spec_key(ProposalSpec())
    assert begun(key, _name(images[0].path)) == 1  # the test's own proof
    assert begun(spec_key(ProposalSpec(seed=1)), _name(images[0].path)) > 1
    assert begun(key, _name(images[0].path) + '0') > 1
    assert begun('x', 'y') > 1


def test_two_runs_do_not_share_a_file(world, tmp_path):
    code = (
        'import fcntl, sys, time\nf = open(sys.argv[1], "a+b")\nfcntl.lockf(f, fcntl.LOCK_EX)\n'
        'print("locked", flush=True)\ntime.sleep(60)'
    )
    part = tmp_path / 'x.pkl.part'
    other = subprocess.Popen([sys.executable, '-c', code, str(part)], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        with pytest.raises(ProposalFileError, match='no other process at work'):
            make_proposals(images_of(world), tmp_path / 'x.pkl', jobs=1)
    finally:
        other.kill()
        other.wait()


def test_a_damaged_image_is_named(world, tmp_path):
    images = images_of(world)
    broken = tmp_path / 'broken.png'
    broken.write_bytes(images[1].path.read_bytes()[:500])
    with pytest.raises(ImageError, match=r'broken\.png'):
        make_proposals([images[0], images[0]._replace(path=broken)], tmp_path / 'x.pkl', jobs=1)
    assert not (tmp_path / 'x.pkl').exists()


def test_images_of_a_config(world, tmp_path):
    import make_proposals as tool

    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(root=world))
    assert tool.main([str(config), '--out', str(tmp_path / 'p.pkl'), '--jobs', '1']) == 0
    assert sorted(p.name for p in tmp_path.glob('*.pkl')) == ['p_train.pkl', 'p_val.pkl']
    make_proposals(images_of(world), tmp_path / 'whole.pkl', jobs=1)
    assert (tmp_path / 'p_train.pkl').read_bytes() == (tmp_path / 'whole.pkl').read_bytes()
    several = 'train_dataloader = dict(dataset=dict(type="ConcatDataset", datasets=[]))'
    config.write_text(several)
    assert tool.main([str(config), '--out', str(tmp_path / 'q.pkl')]) == 2


def test_conversion(world, tmp_path, capsys):
    import make_proposals as tool

    boxes = np.array([[0, 0, 9, 9], [80, 80, 200, 95]], np.float32)
    numbers = [i.indexes[0] for i in images_of(world)]
    given = [tmp_path / 'a', tmp_path / 'b']
    for path, some in zip(given, (numbers[:2], numbers[2:])):
        content = {'indexes': some, 'boxes': [boxes] * len(some)}
        path.write_bytes(pickle.dumps(content))
    source = str(world / 'annotations' / 'instances_train.json')
    command = [source, '--out', str(tmp_path / 'x.pkl'), '--from', str(given[0])]
    assert tool.main(command) == 2
    assert 'but got none of train/' in capsys.readouterr().err
    assert tool.main([*command, str(given[1])]) == 0
    found = read_mmdet(tmp_path / 'x.pkl')
    assert list(found) == [i.key for i in images_of(world)]
    for proposals in found.values():
        assert proposals.boxes.tolist() == [[0, 0, 10, 10], [80, 80, 96, 96]]


@pytest.mark.parametrize('stop', [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_cleanly(tmp_path, stop):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8))
    (tmp_path / 'images').mkdir()
    for i in range(60):
        picture.save(tmp_path / 'images' / f'{i}.png')
    part = tmp_path / 'x.pkl.part'
    command = [sys.executable, str(TOOLS / 'make_proposals.py'), str(tmp_path / 'images'), '--out']
    run = subprocess.Popen(
        [*command, str(tmp_path / 'x.pkl'), '--jobs', '2'],
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 2000) and time.monotonic() < end:
        time.sleep(0.05)
    assert part.exists(), 'nothing was begun within a minute'
    os.killpg(run.pid, stop) if stop == signal.SIGINT else run.send_signal(stop)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert 'goes on where it was' in said and 'Traceback' not in said
    assert part.stat().st_size > 2000 and not (tmp_path / 'x.pkl').exists()
