"""Two domains in one run: the source is labelled, the target is asked by region."""

import runpy
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip('mmseg')

from dense_al.engine import INITIAL, RunStore  # noqa: E402
from dense_al.engine.main import MISTAKE, main  # noqa: E402
from dense_al.pool import UnitPixels  # noqa: E402
from dense_al.regions import build_regions  # noqa: E402
from dense_al.structures import Manifest  # noqa: E402

SMALL = """
_base_ = ['{base}']
sandbox = dict(root='{root}', spec=dict(n_train=6, n_val=2, n_source=5, height=48, width=96))
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
val_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
test_dataloader = val_dataloader
source = dict(dataset=dict(data_root='{root}'))
model = dict(backbone=dict(base_channels=4), decode_head=dict(in_channels=4, channels=4))
acquisition = dict(unit=dict(n_segments=16){more})
budget = dict(per_round=5)
rounds = dict(count=3, iterations=[5, 4, 4])
"""


@pytest.fixture(scope='module')
def two_domains(tmp_path_factory):
    from dense_al.sandbox import StreetsSpec, write_streets

    spec = StreetsSpec(n_train=6, n_val=2, n_source=5, height=48, width=96)
    return write_streets(tmp_path_factory.mktemp('data') / 'streets', spec)


def config(folder, root, method='d2ada', more=''):
    from conftest import CONFIGS

    path = folder / f'{method}.py'
    base = CONFIGS / f'sandbox/domains_{method}.py'
    path.write_text(SMALL.format(base=base, root=root, more=more))
    return str(path)


def weights(work_dir):
    parts = []
    for r in range(3):
        state = torch.load(RunStore(work_dir).checkpoint(r), weights_only=False)['state_dict']
        parts += [state[k].float().ravel() for k in sorted(state)]
    return torch.cat(parts)


@pytest.fixture(scope='module')
def finished(tmp_path_factory, two_domains):
    folder = tmp_path_factory.mktemp('run')
    given = config(folder, two_domains, more=', min_rows=4')
    assert main([given, '--work-dir', str(folder / 'run')]) == 0
    return folder / 'run'


def test_round_0_trains_on_the_source_alone_and_only_the_target_is_asked(finished):
    store = RunStore(finished)
    manifest = Manifest.load(finished / 'manifest.parquet')
    assert manifest.n_pool == 6 and len(manifest) == 11
    assert [n.startswith('source/') for n in manifest.names] == [False] * 6 + [True] * 5
    first = store.read(0, 'train')
    assert first['labelled']['units'] == 0 and first['value'] > 0
    assert len(store.query(INITIAL)) == 0
    for r in (0, 1):
        query = store.query(r)
        assert len(query) and (query.sample < 6).all()
        assert query.size.sum() <= 0.05 * 6 * 48 * 96
    assert 0.05 < store.read(2, 'train')['labelled']['fraction'] <= 0.1


def test_queries_are_shown_though_the_initial_labels_are_none(finished, tmp_path, monkeypatch):
    out = tmp_path / 'pictures'
    given = ['browse_queries.py', str(finished), '--max', '1', '--no-predictions']
    monkeypatch.setattr('sys.argv', [*given, '--out', str(out)])
    from conftest import CONFIGS

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(CONFIGS.parent / 'tools/browse_queries.py'), run_name='__main__')
    assert ended.value.code == 0
    assert len(list(out.glob('*.png'))) == 2  # one of each round that asked


def test_target_labels_that_were_not_asked_change_nothing(finished, two_domains, tmp_path):
    poisoned = tmp_path / 'streets'
    shutil.copytree(two_domains, poisoned)
    store = RunStore(finished)
    manifest = Manifest.load(finished / 'manifest.parquet')
    regions = dict(type='Superpixels', n_segments=16)
    units = build_regions(regions, manifest, finished.parent / 'regions')
    rng = np.random.default_rng(0)
    for sample in range(manifest.n_pool):
        name = manifest.paths[sample].split('/streets/')[1].replace('leftImg8bit/', 'gtFine/')
        path = poisoned / name.replace('_leftImg8bit', '_gtFine_labelTrainIds')
        label = np.array(Image.open(path))
        keep = np.zeros(label.size, bool)
        pixels = UnitPixels(units.map(sample))
        for r in (0, 1):
            query = store.query(r)
            for unit in query.unit[query.sample == sample]:
                keep[pixels[int(unit)]] = True
        garbage = rng.integers(0, 12, label.shape).astype(np.uint8)
        Image.fromarray(np.where(keep.reshape(label.shape), label, garbage)).save(path)
    given = config(tmp_path, poisoned, more=', min_rows=4')
    assert main([given, '--work-dir', str(tmp_path / 'run')]) == 0
    again = RunStore(tmp_path / 'run')
    for r in (0, 1):
        assert store.query(r).table().equals(again.query(r).table())
        assert store.answers(r) == again.answers(r)
    assert torch.equal(weights(finished), weights(tmp_path / 'run'))


def test_source_labels_are_learnt(two_domains, finished, tmp_path):
    changed = tmp_path / 'streets'
    shutil.copytree(two_domains, changed)
    for path in (changed / 'gtFine/source').rglob('*_labelTrainIds.png'):
        Image.fromarray(np.zeros_like(np.array(Image.open(path)))).save(path)
    given = config(tmp_path, changed, more=', min_rows=4')
    stop = ['--work-dir', str(tmp_path / 'run'), '--stop-at-start']
    assert main([given, *stop]) == 0
    a, b = (RunStore(d).read(0, 'train')['metrics'] for d in (finished, tmp_path / 'run'))
    assert a != b


@pytest.mark.parametrize(
    'more, message',
    [
        ('source = None\nrounds = dict(initial=dict(source=True))', 'Expected the dict `source`'),
        ('source = dict(share=1.5)', r'`source.share` in \(0, 1\)'),
        ('source = dict(shaer=0.5)', 'shaer'),
        ("rounds = dict(initial=dict(labelled=['a']))", 'rounds.initial'),
    ],
)
def test_mistakes_are_named(two_domains, tmp_path, caplog, more, message):
    path = tmp_path / 'broken.py'
    first = config(tmp_path, two_domains)
    path.write_text(f"_base_ = ['{first}']\n{more}\n")
    assert main([str(path), '--work-dir', str(tmp_path / 'run'), '--dry-run']) == MISTAKE
    assert any(__import__('re').search(message, r.getMessage()) for r in caplog.records)


@pytest.mark.parametrize('method', ['d2ada', 'entropy'])
def test_images_of_several_sizes(two_domains, tmp_path, method):
    """The source of one size, the target of two, in the middle of what would be a batch."""
    root = tmp_path / 'streets'
    shutil.copytree(two_domains, root)
    pictures = sorted((root / 'leftImg8bit/train').rglob('*.png'))
    smaller = [*(root / 'leftImg8bit/source').rglob('*.png'), pictures[1]]
    for path in [*smaller, *(str(p).replace('leftImg8bit', 'gtFine') for p in smaller)]:
        path = str(path).replace('_gtFine.png', '_gtFine_labelTrainIds.png')
        Image.fromarray(np.array(Image.open(path))[:, :80]).save(path)
    given = config(tmp_path, root, method, ', min_rows=4' if method == 'd2ada' else '')
    more = tmp_path / 'more.py'
    more.write_text(f"_base_ = ['{given}']\ntest_dataloader = dict(batch_size=4)\n")
    assert main([str(more), '--work-dir', str(tmp_path / 'run')]) == 0
    manifest = Manifest.load(tmp_path / 'run' / 'manifest.parquet')
    widths = [manifest.size(s)[1] for s in range(len(manifest))]
    assert widths == [96, 80, 96, 96, 96, 96] + [80] * 5
    assert len(RunStore(tmp_path / 'run').query(1))
