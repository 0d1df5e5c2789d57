"""`al_train.py` as a user meets it: a run, mistakes, kills, people who answer."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dense_al.engine import INITIAL, RunStore
from dense_al.engine.main import INTERRUPTED, MISTAKE, WAITING, main
from dense_al.regions import build_regions
from dense_al.structures import Manifest

KILLER = """
import os, signal, sys
where = sys.argv.pop(1)
def die(): os.kill(os.getpid(), signal.{signal})
if where == 'training':
    import torch
    step, calls = torch.optim.AdamW.step, []
    def counted(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 9: die()
        return step(self, *args, **kwargs)
    torch.optim.AdamW.step = counted
if where == 'observing':
    from dense_al.engine import RunStore
    RunStore.phase = lambda self, name: die() if name == '1:observe:half' else None
if where == 'writing':
    replace = os.replace
    def cut(source, target):
        die() if str(target).endswith('rounds/001/query.parquet') else replace(source, target)
    os.replace = cut
from dense_al.engine.main import main
sys.exit(main(sys.argv[1:]))
"""


def run(config, work_dir, *more):
    return main([config, '--work-dir', str(work_dir), *more])


def decisions(work_dir, rounds=3):
    """Queries, answers, metrics and weights of all rounds."""
    store, found = RunStore(work_dir), []
    for r in range(INITIAL, rounds):
        if r < rounds - 1:
            found += [store.query(r).table().to_pylist(), store.answers(r)]
        if r >= 0:
            train = store.read(r, 'train')
            found += [train['metrics'], train['per_class'], train['labelled']]
    return found


def weights(work_dir, rounds=3):
    """All parameters of all rounds, in one vector."""
    parts = []
    for r in range(rounds):
        state = torch.load(RunStore(work_dir).checkpoint(r), weights_only=False)['state_dict']
        parts += [state[k].float().ravel() for k in sorted(state)]
    return torch.cat(parts)


def equal(a, b):
    np.testing.assert_equal(decisions(a), decisions(b))
    return torch.equal(weights(a), weights(b))


@pytest.fixture(scope='module')
def finished(tmp_path_factory, world):
    """A finished run, made by a process of its own."""
    from conftest import CONFIGS, SMALL

    folder = tmp_path_factory.mktemp('finished')
    config = folder / 'small_entropy.py'
    config.write_text(SMALL.format(base=CONFIGS / 'sandbox/streets_entropy.py', root=world))
    command = [sys.executable, '-c', KILLER.format(signal='SIGKILL'), 'nowhere', str(config)]
    subprocess.run([*command, '--work-dir', str(folder / 'run')], check=True)
    return str(config), folder / 'run'


def test_a_run_records_every_round(finished):
    _, work_dir = finished
    store = RunStore(work_dir)
    fractions = [store.read(r, 'train')['labelled']['fraction'] for r in range(3)]
    assert fractions == sorted(fractions) and 0.12 < fractions[2] <= 0.15
    train = store.read(2, 'train')
    assert set(train['per_class']) == set(train['classes']) and 0 < train['value'] < 100
    assert train['exact'] is True
    found = [v for v in train['per_class'].values() if v is not None]
    assert np.mean(found) == pytest.approx(train['metrics']['mIoU'], abs=0.02)
    environment = json.loads((work_dir / 'environment.json').read_text())
    assert environment['rounds'] == 3 and len(environment['palette']) == 12


@pytest.mark.slow
@pytest.mark.parametrize('where', ['training', 'observing', 'writing'])
def test_a_killed_run_goes_on_as_if_it_had_not_been(finished, tmp_path, where):
    config, whole = finished
    command = [sys.executable, '-c', KILLER.format(signal='SIGKILL')]
    rest = [config, '--work-dir', str(tmp_path / 'run')]
    killed = subprocess.run([*command, where, *rest])
    assert killed.returncode == -signal.SIGKILL
    assert RunStore(tmp_path / 'run').read(2, 'train') is None
    subprocess.run([*command, 'nowhere', *rest, '--resume'], check=True)
    assert equal(tmp_path / 'run', whole)


@pytest.mark.slow
def test_sigterm_ends_cleanly_with_the_command_that_goes_on(finished, tmp_path):
    config, _ = finished
    command = [sys.executable, '-c', KILLER.format(signal='SIGTERM'), 'training', config]
    command += ['--work-dir', str(tmp_path / 'run'), '--seed', '4']
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == INTERRUPTED
    assert f'--work-dir {tmp_path / "run"} --seed 4 --resume' in ended.stderr
    assert 'Traceback' not in ended.stderr


@pytest.mark.slow
def test_two_processes_train_one_model(finished, tmp_path):
    config, _ = finished
    script = tmp_path / 'train.py'
    script.write_text('import sys\nfrom dense_al.engine.main import main\nsys.exit(main())\n')
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command += ['--nproc_per_node', '2', str(script), config, '--launcher', 'pytorch']
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    subprocess.run([*command, '--work-dir', str(tmp_path / 'run')], check=True, env=env)
    store = RunStore(tmp_path / 'run')
    assert store.read(2, 'train')['labelled']['fraction'] > 0.12
    assert len(store.query(1)) > 0


def test_ground_truth_outside_the_answers_changes_nothing(small_config, world, tmp_path):
    """The poison test: labels that were not asked are overwritten with garbage."""
    clean, poisoned = tmp_path / 'a/run', tmp_path / 'b/run'
    assert run(small_config(), clean) == 0
    root = tmp_path / 'world'
    shutil.copytree(world, root)
    manifest = Manifest.load(clean / 'manifest.parquet')
    units = build_regions(
        dict(type='Superpixels', n_segments=16), manifest, clean.parent / 'regions'
    )
    asked = [np.zeros(manifest.size(s), bool) for s in range(len(manifest))]
    for r in (INITIAL, 0, 1):
        query = RunStore(clean).query(r)
        for sample, unit in zip(query.sample, query.unit):
            asked[sample] |= units.map(int(sample)) == unit
    rng = np.random.default_rng(0)
    for sample, path in enumerate(manifest.paths):
        path = Path(path.replace(str(world), str(root)).replace('leftImg8bit', 'gtFine', 1))
        path = path.with_name(path.name.replace('leftImg8bit', 'gtFine_labelTrainIds'))
        label = np.asarray(Image.open(path))
        garbage = rng.integers(0, 12, label.shape).astype(np.uint8)
        Image.fromarray(np.where(asked[sample], label, garbage)).save(path)
    # A world that was written over would be drawn anew.
    assert run(small_config(root=root, more='sandbox = None\n'), poisoned) == 0
    assert equal(clean, poisoned)


def test_mmengine_keeps_nothing_of_finished_rounds(small_config, tmp_path):
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.visualization import Visualizer

    def kept():
        tables = (MessageHub._instance_dict, MMLogger._instance_dict, Visualizer._instance_dict)
        files = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')
                 if os.path.exists(f'/proc/self/fd/{fd}')]  # fmt: skip
        return sum(map(len, tables)), sum(f.endswith('.log') for f in files)

    before = kept()
    assert run(small_config(), tmp_path / 'five', '--cfg-options', 'rounds.count=5',
               'rounds.iterations=2') == 0  # fmt: skip
    # The tracker of the run is the one thing that outlives its rounds.
    assert kept() == (before[0] + 1, before[1])


@pytest.mark.parametrize('persistent', [True, False])
def test_data_workers_end_with_their_round(small_config, tmp_path, persistent):
    import multiprocessing

    options = ['rounds.count=1', 'rounds.iterations=2']
    for loader in ('train_dataloader', 'val_dataloader'):
        options += [f'{loader}.num_workers=1', f'{loader}.persistent_workers={persistent}']
    assert run(small_config(), tmp_path / 'run', '--cfg-options', *options) == 0
    assert multiprocessing.active_children() == []


def test_one_tracker_run_for_the_whole_curve(small_config, tmp_path):
    hooks = "default_hooks = dict(logger=dict(interval=1))\nlog_level = 'WARNING'\n"
    assert run(small_config(more=hooks), tmp_path / 'run') == 0
    lines = (tmp_path / 'run/tracker/vis_data/scalars.json').read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    metric = [s['step'] for s in steps if 'mIoU' in s]
    assert metric == [6, 12, 18]
    losses = [s['step'] for s in steps if 'loss' in s]
    assert losses == list(range(1, 19))
    assert sorted(s['labelled/units'] for s in steps if 'labelled/units' in s)[-1] > 0


def test_a_long_round_goes_on_in_its_middle(small_config, tmp_path, monkeypatch):
    more = ['--cfg-options', 'rounds.checkpoint_interval=2', 'rounds.count=2']
    steps = []
    step = torch.optim.AdamW.step

    def stopped(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, 'step', stopped)
    assert run(small_config(), tmp_path / 'run', *more) == INTERRUPTED
    whole = next((tmp_path / 'run').rglob('iter_4.pth'))
    whole.with_name('iter_5.pth').write_bytes(b'killed while it was written')
    assert run(small_config(), tmp_path / 'run', '--resume', *more) == 0
    # Six steps of round 0, the fifth of which began twice, and six of round 1.
    assert len(steps) == 13
    store = RunStore(tmp_path / 'run')
    assert [store.read(r, 'train')['exact'] for r in (0, 1)] == [False, True]
    assert not list((tmp_path / 'run').rglob('iter_*.pth'))


def test_dry_run_prints_the_plan_and_trains_nothing(small_config, tmp_path, capsys):
    assert run(small_config(), tmp_path / 'run', '--dry-run') == 0
    out = capsys.readouterr().out
    assert 'samples   8 (36,864' in out and '12 classes' in out
    assert 'about 15 % of the pool' in out and 'needs     probs' in out
    # 15 % of 8 images at 5,400 s, and one second for each of the regions.
    cost = float(out.split('cost      about ')[1].split(' s')[0].replace(',', ''))
    assert 0.15 * 8 * 5400 < cost < 0.15 * 8 * 5400 + 60
    assert not (tmp_path / 'run').exists()


MISTAKES = {
    'acquisition.score.type=SurfaceVariation': 'for images to segment, which may need features, '
    'grid, probs, but got one that needs points',
    'acquisition.score.type=SegmentEntropy': 'but got one that needs points',
    'acquisition.type=Composd': 'Did you mean `Composed`',
    'acquisition.score.type=Entropie': 'Did you mean `Entropy`',
    'acquisition.agregate=mean': 'Unknown key `acquisition.agregate`',
    'acquisition.unit.n_segmnts=9': 'Did you mean `n_segments`',
    'oracle.type=GroundTrut': 'Did you mean `GroundTruth`',
    'oracle.noisy=0.1': 'Unknown key `oracle.noisy`',
    'budgets.per_round=2': 'Unknown dict `budgets`. Did you mean `budget`',
    'round.count=2': 'Unknown dict `round`. Did you mean `rounds`',
    'model.decode_head.num_classes=5': 'Expected `model.decode_head.num_classes` to be 12',
    'budget.per_rond=3': 'Did you mean `per_round`',
    'budget.unit=persent': 'Did you mean `percent`',
    'budget.per_round=40': 'Expected the budgets of all rounds together to be at most the pool',
    'rounds.cont=3': 'Did you mean `count`',
    'rounds.metric=mIou': 'Did you mean `mIoU`',
    'rounds.start=scrach': 'Did you mean `scratch`',
    'rounds.initial.acquisition.type=BoxInBoxx': 'rounds.initial.acquisition',
    'model.decode_head.loss_decode.type=DiceLoss': 'counts unlabelled pixels in its denominator',
    'model.backbone.type=UNett': 'Could not build `model`',
    'train_dataloader.dataset.data_root=/nowhere': '/nowhere',
    'train_dataloader.dataset.img_suffix=.jpg': 'it is empty',
    'train_dataloader.dataset.seg_map_suffix=.tif': '8 of 8 labels are wrong: Expected a label',
}


@pytest.mark.parametrize('option', MISTAKES)
def test_mistakes_end_before_training_and_are_named(small_config, tmp_path, caplog, option):
    assert run(small_config(), tmp_path / 'run', '--cfg-options', option) == MISTAKE
    assert MISTAKES[option] in caplog.text
    assert not (tmp_path / 'run/rounds').exists() and not (tmp_path / 'run/initial').exists()


def test_losses_are_refused_where_only_the_initial_labels_are_partial(
    small_config, tmp_path, caplog
):
    config = small_config(
        more="acquisition = dict(_delete_=True, type='Composed', unit=dict(type='Image'))\n"
        "rounds = dict(initial=dict(acquisition=dict(type='PixelUncertainty', score='Random')))\n"
        "model = dict(decode_head=dict(loss_decode=dict(_delete_=True, type='DiceLoss')))\n"
    )
    assert run(config, tmp_path / 'run', '--dry-run') == MISTAKE
    assert 'counts unlabelled pixels in its denominator' in caplog.text


def test_a_work_dir_that_is_a_file(small_config, tmp_path, caplog):
    (tmp_path / 'file').write_text('')
    assert run(small_config(), tmp_path / 'file') == MISTAKE
    assert 'Expected a folder, but the work dir' in caplog.text


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--seed', '-1'], "expected an integer of at least 0, but got '-1'"),
        (['--cfg-options', 'budget'], "expected KEY=VALUE after --cfg-options, but got 'budget'"),
    ],
)
def test_wrong_words_on_the_command_line(small_config, tmp_path, capsys, words, message):
    with pytest.raises(SystemExit, match='2'):
        run(small_config(), tmp_path / 'run', *words)
    assert message in capsys.readouterr().err


def test_resuming_what_has_not_begun_says_so(small_config, tmp_path, caplog):
    options = ['--resume', '--stop-at-start', '--cfg-options', 'rounds.iterations=1']
    assert run(small_config(), tmp_path / 'run', *options) == 0
    assert f'There is no run in {tmp_path / "run"} yet' in caplog.text


def test_weights_that_cannot_be_had_end_the_run_before_anything_is_asked(
    small_config, tmp_path, caplog, monkeypatch
):
    from dense_al.adapters import checks

    def offline(path, **more):
        raise OSError(f'no network for {path}')

    monkeypatch.setattr(checks, '_load_checkpoint', offline)
    config = small_config(more="oracle = dict(_delete_=True, type='Files')\n")
    options = ['--cfg-options', 'load_from=https://somewhere/weights.pth']
    assert run(config, tmp_path / 'run', '--dry-run', *options) == 0
    assert run(config, tmp_path / 'run', *options) == MISTAKE
    assert 'Expected to fetch the weights `load_from` https://somewhere/weights.pth' in caplog.text
    assert 'no network' in caplog.text and not (tmp_path / 'run/initial').exists()


def test_a_config_that_is_not_there(caplog, tmp_path, small_config):
    path = small_config().replace('small_entropy', 'small_entropi')
    assert run(path, tmp_path / 'run') == MISTAKE
    assert 'Did you mean `small_entropy.py`' in caplog.text


def break_class(image, label):
    wrong = np.array(Image.open(label))
    wrong[0, 0] = 77
    Image.fromarray(wrong).save(label)


def break_size(image, label):
    Image.fromarray(np.array(Image.open(label))[:-1]).save(label)


def break_label(image, label):
    label.write_bytes(label.read_bytes()[:60])


def break_image(image, label):
    image.write_bytes(image.read_bytes()[:500])


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (break_class, 'Expected classes 0 to 11 or 255'),
        (break_size, 'of size (48, 96) (height, width) like its image'),
        (break_label, '1 of 8 labels are wrong'),
        (break_image, 'Could not read the image'),
    ],
)
def test_damaged_files_are_named_before_training(
    small_config, world, tmp_path, caplog, damage, message
):
    root = tmp_path / 'world'
    shutil.copytree(world, root)
    image = sorted((root / 'leftImg8bit/train').rglob('*.png'))[3]
    label = Path(str(image).replace('leftImg8bit/', 'gtFine/', 1))
    label = label.with_name(label.name.replace('leftImg8bit', 'gtFine_labelTrainIds'))
    damage(image, label)
    assert run(small_config(root=root, more='sandbox = None\n'), tmp_path / 'run') == MISTAKE
    assert message in caplog.text and image.name[:17] in caplog.text
    assert not (tmp_path / 'run/rounds').exists()


def test_a_run_is_not_overwritten_or_resumed_otherwise(finished, tmp_path, caplog):
    config, whole = finished
    shutil.copytree(whole, tmp_path / 'run')
    assert run(config, tmp_path / 'run') == MISTAKE
    assert 'add --resume' in caplog.text
    assert run(config, tmp_path / 'run', '--resume', '--seed', '5') == MISTAKE
    assert 'Expected `seed` 0 as when the run began, but got 5' in caplog.text
    options = ['--cfg-options', 'acquisition.unit.n_segments=20']
    assert run(config, tmp_path / 'run', '--resume', *options) == MISTAKE
    for name in ('config.py', 'environment.json'):
        assert (tmp_path / 'run' / name).read_bytes() == (whole / name).read_bytes()


def test_people_answer_through_files(small_config, world, tmp_path, caplog):
    config = small_config(more="oracle = dict(_delete_=True, type='Files')\n")
    work_dir = tmp_path / 'run'
    more = ['--cfg-options', 'rounds.count=2']
    truth = world / 'gtFine/train'
    for folder in ('initial', 'rounds/000'):
        resume = ['--resume'] if folder != 'initial' else []
        assert run(config, work_dir, *resume, *more) == WAITING
        assert '--resume' in caplog.text
        asked = json.loads((work_dir / folder / 'ask/query.json').read_text())
        for sample in asked['samples']:
            name = sample['name'].replace('leftImg8bit', 'gtFine_labelTrainIds')
            shutil.copy(truth / name, work_dir / folder / sample['label'])
    assert run(config, work_dir, '--resume', *more, 'oracle.wait_for=any') == 0
    labelled = RunStore(work_dir).read(1, 'train')['labelled']
    assert 0.07 < labelled['fraction'] <= 0.1
    assert {a.source for a in RunStore(work_dir).answers(0)} == {'files'}


def test_equal_starts_are_shared_and_others_are_not(finished, small_config, tmp_path, caplog):
    _, whole = finished
    one, other = tmp_path / 'one', tmp_path / 'other'
    start = ['--start-from', str(whole), '--stop-at-start']
    assert run(small_config('random'), one, *start, '--allow-other-environment') == 0
    # The module's run lies in another folder, so its unit maps are found under the same key.
    assert 'initial labels and round 0 are those of' in caplog.text
    assert (one / 'rounds/000/checkpoint.pth').samefile(whole / 'rounds/000/checkpoint.pth')
    caplog.clear()
    assert run(small_config('random'), other, *start, '--seed', '1') == 0
    assert 'are those of' not in caplog.text
    assert not (other / 'rounds/000/checkpoint.pth').samefile(whole / 'rounds/000/checkpoint.pth')


@pytest.mark.parametrize(
    ('options', 'shared'),
    [
        (['rounds.later.param_scheduler=[]', 'rounds.checkpoint_interval=50'], True),
        (['oracle.noise=0.1'], False),
        (['rounds.initial.budget.per_round=3'], False),
    ],
)
def test_only_what_round_0_follows_from_tells_starts_apart(
    finished, small_config, tmp_path, caplog, options, shared
):
    _, whole = finished
    start = ['--start-from', str(whole), '--stop-at-start', '--cfg-options', *options]
    assert run(small_config(), tmp_path / 'one', *start) == 0
    assert ('are those of' in caplog.text) == shared


@pytest.mark.parametrize('option', ['budget.per_round=9', 'acquisition.weight=class'])
def test_a_run_goes_on_with_its_own_method_only(finished, small_config, option, caplog):
    _, whole = finished
    before = (whole / 'config.py').read_bytes()
    assert run(small_config(), whole, '--resume', '--cfg-options', option) == MISTAKE
    assert f'Expected `{option.split(".")[0]}`' in caplog.text
    assert '--allow-other-environment' in caplog.text
    assert (whole / 'config.py').read_bytes() == before


@pytest.mark.parametrize(
    'option',
    ['oracle.noise=0.1', 'optim_wrapper.optimizer.lr=0.5', 'model.backbone.base_channels=8'],
)
def test_a_run_goes_on_with_its_own_data_model_and_oracle_only(
    finished, small_config, option, caplog
):
    _, whole = finished
    before = (whole / 'config.py').read_bytes()
    assert run(small_config(), whole, '--resume', '--cfg-options', option) == MISTAKE
    assert f'Expected `{option.split("=")[0]}`' in caplog.text
    assert f'but got {option.split("=")[1]}; --allow-other-environment' in caplog.text
    assert (whole / 'config.py').read_bytes() == before
    options = ['log_level=ERROR', 'rounds.checkpoint_interval=50']
    assert run(small_config(), whole, '--resume', '--cfg-options', *options) == 0


def test_bases_of_packages_are_found_through_bases(tmp_path):
    from dense_al.config import read_config

    (tmp_path / 'study').mkdir()
    stock = 'mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py'
    (tmp_path / 'mine.py').write_text(f"_base_ = ['{stock}']\nx = 1\n")
    (tmp_path / 'study/mine.py').write_text("_base_ = ['../mine.py']\nx = 2\n")
    (tmp_path / 'study/child.py').write_text("_base_ = ['./mine.py']\ny = 3\n")
    found = read_config(tmp_path / 'study/child.py')
    assert (found.model.type, found.x, found.y) == ('EncoderDecoder', 2, 3)


@pytest.mark.parametrize('name', ['mine.py', './mine.py', '{folder}/mine.py'])
def test_bases_of_packages_stand_beside_bases_of_the_user(name, tmp_path):
    from dense_al.config import read_config

    stock = 'mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py'
    (tmp_path / 'mine.py').write_text(f"é = 1; _base_ = '{stock}'  # stock\nx = 1\n")
    (tmp_path / 'rest.py').write_text('y = 3\n')
    bases = f"('{name.format(folder=tmp_path)}', # mine\n  'rest.py')"
    (tmp_path / 'child.py').write_text(f'_base_ = {bases}\nx = 2\n')
    found = read_config(tmp_path / 'child.py')
    assert (found.model.type, found.x, found.y) == ('EncoderDecoder', 2, 3)
    (tmp_path / 'both.py').write_text(f"_base_ = ['{stock}', 'rest.py']\nx = 2\n")
    found = read_config(tmp_path / 'both.py')
    assert (found.model.type, found.x, found.y) == ('EncoderDecoder', 2, 3)


def test_reading_a_config_leaves_nothing_behind(tmp_path, monkeypatch):
    import tempfile

    from dense_al.config import read_config

    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
    (tmp_path / 'temporary').mkdir()
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = ['mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py']\n")
    assert read_config(path).model.type == 'EncoderDecoder'
    assert not list((tmp_path / 'temporary').glob('dense_al_*'))
