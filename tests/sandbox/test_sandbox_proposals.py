"""Proposals beside a generated world: made once, anew for another world or maker."""

import dataclasses

import pytest

from dense_al.proposals import ProposalSpec, read_mmdet
from dense_al.registry import ConfigError
from dense_al.sandbox import GlyphsSpec, prepare_sandbox, write_glyphs
from dense_al.sandbox.proposals import sandbox_proposals

SMALL = GlyphsSpec(seed=3, side=64, n_train=3, n_val=2)


def config(root, **proposals):
    spec = dict(seed=3, side=64, n_train=3, n_val=2)
    return dict(sandbox=dict(world='glyphs', root=str(root), spec=spec, proposals=proposals))


def stamps(folder):
    return {p.name: p.stat().st_mtime_ns for p in folder.glob('proposals*')}


def test_a_config_has_them_made(tmp_path):
    prepare_sandbox(config(tmp_path / 'world', max_boxes=9))
    root = tmp_path / 'world'
    assert set(stamps(root)) == {'proposals_train.pkl', 'proposals_val.pkl', 'proposals.json'}
    for split, count in (('train', 3), ('val', 2)):
        found = read_mmdet(root / f'proposals_{split}.pkl')
        files = sorted(p.name for p in (root / 'images' / split).iterdir())
        assert list(found) == [f'{split}/{name}' for name in files] and len(files) == count
        assert all(len(p.boxes) == 9 for p in found.values())
    before = stamps(root)
    prepare_sandbox(config(root, max_boxes=9))
    assert stamps(root) == before


def test_another_maker_or_world_makes_them_anew(tmp_path):
    root = write_glyphs(tmp_path / 'world', SMALL)
    files = sandbox_proposals(root, SMALL, tmp_path / 'kept')
    first = {split: path.read_bytes() for split, path in files.items()}
    before = stamps(tmp_path / 'kept')
    assert sandbox_proposals(root, SMALL, tmp_path / 'kept') == files
    assert stamps(tmp_path / 'kept') == before
    sandbox_proposals(root, SMALL, tmp_path / 'kept', ProposalSpec(seed=1))
    assert all(first[s] != path.read_bytes() for s, path in files.items())
    sandbox_proposals(root, SMALL, tmp_path / 'kept')
    assert all(first[s] == path.read_bytes() for s, path in files.items())
    other = dataclasses.replace(SMALL, seed=4)
    write_glyphs(root, other, overwrite=True)
    sandbox_proposals(root, other, tmp_path / 'kept')
    assert all(first[s] != path.read_bytes() for s, path in files.items())


@pytest.mark.parametrize('name', ['proposals_val.pkl', 'proposals.json'])
def test_a_missing_file_is_made_again(tmp_path, name):
    cfg = config(tmp_path / 'world')
    prepare_sandbox(cfg)
    whole = (tmp_path / 'world' / name).read_bytes()
    (tmp_path / 'world' / name).unlink()
    prepare_sandbox(cfg)
    assert (tmp_path / 'world' / name).read_bytes() == whole


def test_a_split_without_images(tmp_path):
    spec = dataclasses.replace(SMALL, n_val=0)
    files = sandbox_proposals(write_glyphs(tmp_path / 'world', spec), spec)
    assert read_mmdet(files['val']) == {} and len(read_mmdet(files['train'])) == 3


def test_mmdet_loads_them(tmp_path):
    pytest.importorskip('mmdet')
    from mmdet.datasets import CocoDataset
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    prepare_sandbox(config(tmp_path / 'world'))
    data = CocoDataset(
        data_root=str(tmp_path / 'world'),
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='images/train/'),
        proposal_file='proposals_train.pkl',
        metainfo=dict(classes=tuple('0123456789')),
        pipeline=[dict(type='LoadProposals')],
    )
    assert len(data) == 3 and len(data[0]['proposals']) == len(data[0]['proposals_scores']) > 10


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match='`sandbox.proposals.max_box`. Did you mean `max_boxes`'):
        prepare_sandbox(config(tmp_path / 'world', max_box=3))
    with pytest.raises(ConfigError, match='In `sandbox.proposals`: .* but got 0'):
        prepare_sandbox(config(tmp_path / 'world', max_boxes=0))
    streets = dict(world='streets', root=str(tmp_path / 's'), proposals={})
    streets['spec'] = dict(n_train=1, n_val=1, n_source=0, height=48, width=96)
    with pytest.raises(ConfigError, match='`sandbox.proposals` in the world glyphs only'):
        prepare_sandbox(dict(sandbox=streets))
    with pytest.raises(ConfigError, match='`sandbox.proposal`. Did you mean `proposals`'):
        prepare_sandbox(dict(sandbox=dict(world='glyphs', root='x', proposal={})))
