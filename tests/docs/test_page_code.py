"""The code of the pages runs: configs load and build, the acquisition of one file asks."""

import ast
import re
import subprocess
import sys

import numpy as np
import pytest
from page_reader import ROOT, all_blocks, files_of
from PIL import Image

from dense_al.adapters.task import Rounds
from dense_al.config import DICTS, load_config
from dense_al.engine import RunStore
from dense_al.engine.main import main
from dense_al.oracles import Asking, Files, WaitingForAnswers
from dense_al.registry import ACQUISITIONS, ORACLES, SCORES, construct
from dense_al.structures import Budget, ElementRows, Manifest, Pixels, Query
from dense_al.testing.stub import GridUnits

OWN = ROOT / 'docs/own_acquisition.md'
TINY = """
_base_ = ['my_config.py']
sandbox = dict(
    root='{root}', spec=dict(n_train=8, n_val=3, n_source=0, height=48, width=96))
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
val_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
test_dataloader = val_dataloader
model = dict(backbone=dict(base_channels=4), decode_head=dict(in_channels=4, channels=4))
acquisition = dict(unit=dict(n_segments=16))
budget = dict(per_round=5)
rounds = dict(count=2, iterations=4)
"""


def assigned(block):
    """Names that a block of Python assigns at its top."""
    targets = [t for node in ast.parse(block.text).body if isinstance(node, ast.Assign)
               for t in node.targets]  # fmt: skip
    return {t.id for t in targets if isinstance(t, ast.Name)}


CONFIGS = [b for b in all_blocks('python') if '_base_' in assigned(b)]
FRAGMENTS = [
    b for b in all_blocks('python') if b not in CONFIGS and assigned(b) & {*DICTS, 'source'}
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder like that of the repository, with the files of the page on own acquisitions."""
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    for name, text in files_of(OWN).items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for registry in (ACQUISITIONS, SCORES):  # what the page registers is gone afterwards
        monkeypatch.setattr(registry, '_classes', dict(registry._classes))
    monkeypatch.delitem(sys.modules, 'my_method', raising=False)
    yield tmp_path
    sys.modules.pop('my_method', None)


def check_dicts(cfg):
    """Builds the four dicts, as far as they are given."""
    if 'acquisition' in cfg:
        ACQUISITIONS.build(cfg['acquisition'], 'acquisition')
    if 'oracle' in cfg:
        ORACLES.build(cfg['oracle'], 'oracle')
    if 'budget' in cfg:
        construct(Budget, cfg['budget'], 'budget')
    if 'rounds' in cfg:
        rounds, initial = cfg['rounds'], dict(cfg['rounds'].get('initial') or {})
        initial.pop('checkpoint', None)  # a file of the user
        construct(Rounds, {**rounds, 'initial': initial or None}, 'rounds')


def test_the_pages_show_configs():
    assert len(CONFIGS) >= 8 and len(FRAGMENTS) >= 4


@pytest.mark.parametrize('block', CONFIGS, ids=str)
def test_whole_configs_load_and_build(block, folder):
    path = folder / 'shown.py'
    path.write_text(block.text)
    check_dicts(load_config(path).to_dict())


@pytest.mark.parametrize('block', FRAGMENTS, ids=str)
def test_parts_of_configs_build(block):
    if 'custom_imports' in assigned(block):
        pytest.skip('names a module of its own, which another test runs')
    names = {}
    exec(compile(block.text, str(block), 'exec'), names)
    check_dicts({name: names[name] for name in DICTS if name in names})


def test_the_acquisition_of_the_page_passes_the_contract(folder):
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'test_my_method.py']
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert int(re.search(r'(\d+) passed', found.stdout)[1]) > 10


def test_the_acquisition_of_the_page_asks(folder, world):
    (folder / 'tiny.py').write_text(TINY.format(root=world))
    assert main(['tiny.py', '--work-dir', 'run']) == 0
    query = RunStore('run').query(0)
    # Images take turns, so that none gives a second region before all have given one.
    assert len(np.unique(query.sample)) == min(len(query), 8)
    assert (query.score > 0).all() and (query.score <= 1).all()
    assert len(RunStore('run').answers(0)) == len(query)


def test_the_script_of_the_page_answers(tmp_path, monkeypatch):
    block = next(b for b in all_blocks('python') if 'ask/query.json' in b.text)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (8, 8)).astype(np.uint8)
    (tmp_path / 'whole_masks').mkdir()
    Image.fromarray(truth).save('whole_masks/slide.png')
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save('slide.png')
    manifest = Manifest.of_images(['slide.png'], [str(tmp_path / 'slide.png')], [(8, 8)])
    units = GridUnits(manifest)
    asked = ElementRows.of_sample(0, np.zeros(4), units.sizes(0)).take(np.array([2, 1]))
    asking = Asking(
        query=Query.of_rows('region', asked),
        folder=tmp_path / 'work_dirs/my_data/initial',
        manifest=manifest,
        units=units,
        classes=['background', 'nucleus'],
        read_label=lambda sample: Pixels(truth),
        rng=rng,
    )
    with pytest.raises(WaitingForAnswers):
        Files().answer(asking)
    exec(compile(block.text, str(block), 'exec'), {})
    answers = Files().answer(asking)
    assert (Pixels.decode(answers[0].payload).labels == truth[4:, :4].ravel()).all()
    assert (Pixels.decode(answers[1].payload).labels == truth[:4, 4:].ravel()).all()
