"""What a round of two domains is made of: its images, how they are drawn, and `rounds.later`."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIGS

from dense_al.adapters import build_task
from dense_al.adapters.runner import release
from dense_al.adapters.task import Rounds, TrainJob
from dense_al.config import load_config
from dense_al.pool import Ledger
from dense_al.structures import Answer, Pixels

SPEC = dict(n_train=4, n_val=2, n_source=3, height=48, width=96)
SMALL = """
_base_ = ['{base}']
sandbox = dict(root='{root}', spec=dict(**{spec}))
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
val_dataloader = dict(dataset=dict(data_root='{root}'))
test_dataloader = val_dataloader
source = dict(dataset=dict(data_root='{root}'), {source})
model = dict(backbone=dict(base_channels=4), decode_head=dict(in_channels=4, channels=4))
"""
ANSWERED = (1, 3)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    from dense_al.sandbox import StreetsSpec, write_streets

    return write_streets(tmp_path_factory.mktemp('data') / 'streets', StreetsSpec(**SPEC))


@pytest.fixture
def task(tmp_path, root):
    def build(source='', **rounds):
        path = tmp_path / 'leaf.py'
        base = CONFIGS / 'sandbox/domains_random.py'
        path.write_text(SMALL.format(base=base, root=root, spec=SPEC, source=source))
        return build_task(load_config(path), Rounds(count=3, **rounds), partial=True)

    return build


def job(task, folder, round_number):
    """A job of a round; from round 1 on two images of the pool are answered."""
    answers = []
    for sample in ANSWERED if round_number else ():
        n = int(task.manifest.areas[sample])
        payload = Pixels(np.zeros(n, np.uint8)).encode()
        answers.append(Answer(sample, -1, 0, 'image', 'answered', 'x', n, 0, 0, 0, -1, payload))
    place = folder / 'run' / 'rounds' / f'{round_number:03d}' / 'train'
    return TrainJob(round_number, Ledger([answers]), None, place, place / 'c.pth', None, 0)


def runner_of(built, folder, round_number):
    """The Runner of a round, out of mmengine's global tables."""
    runner = built._runner(job(built, folder, round_number), 'train')[0]
    release(runner.experiment_name)
    return runner


@pytest.mark.parametrize(
    ('unlabelled', 'shown'),
    [(False, [(), ANSWERED]), (True, [range(4), range(4)]), ('first', [range(4), ANSWERED])],
)
def test_target_images_that_a_round_shows(task, tmp_path, unlabelled, shown):
    built = task(f'unlabelled={unlabelled!r}')
    for round_number, wanted in enumerate(shown):
        dataset = built._answered(job(built, tmp_path, round_number))
        samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
        assert dataset.of_source == [True] * 3 + [False] * len(wanted)
        assert [s.domain for s in samples] == ['source'] * 3 + ['target'] * len(wanted)
        found = [Path(s.img_path).name for s in samples[3:]]
        assert found == [Path(built.manifest.paths[s]).name for s in wanted]
        for sample, label in zip(wanted, (s.gt_sem_seg.data for s in samples[3:])):
            answered = round_number > 0 and sample in ANSWERED
            assert (label == (0 if answered else 255)).all()


@pytest.mark.parametrize('share', [0.1, 0.8])
def test_images_are_drawn_with_the_share_of_the_config(task, tmp_path, share):
    built = task(f'share={share}', iterations=2)
    loader = runner_of(built, tmp_path, 1)._train_dataloader
    drawn = np.array(list(islice(iter(loader.sampler), 2000)))
    assert abs((drawn < 3).mean() - share) < 0.04 and set(drawn) == set(range(5))


LATER = dict(
    optim_wrapper=dict(optimizer=dict(lr=3e-3)),
    param_scheduler=[dict(type='PolyLR', power=0.5, begin=0, end=77, by_epoch=False)],
)


def of_round(built, folder, round_number):
    """Learning rate, and (type, begin, end) of the schedulers, of a round's Runner."""
    cfg = runner_of(built, folder, round_number).cfg
    ends = [(s['type'], s['begin'], s['end']) for s in cfg['param_scheduler']]
    return cfg['optim_wrapper']['optimizer'], ends


def test_what_is_different_later_is_as_before_in_round_0(task, tmp_path):
    """The config has 300 iterations, with a warm-up of 50 of them."""
    built = task(iterations=[600, 30, 30], later=LATER)
    optimizer, ends = of_round(built, tmp_path, 0)
    assert (optimizer['type'], optimizer['lr'], optimizer['weight_decay']) == ('AdamW', 7e-3, 1e-4)
    assert ends == [('LinearLR', 0, 100), ('PolyLR', 100, 600)]
    for round_number in (1, 2):
        optimizer, ends = of_round(built, tmp_path, round_number)
        assert (optimizer['type'], optimizer['lr']) == ('AdamW', 3e-3)
        assert optimizer['weight_decay'] == 1e-4  # what is not named stays
        assert ends == [('PolyLR', 0, 77)]  # as given, though the round has 30 iterations
    assert of_round(built, tmp_path, 0)[0]['lr'] == 7e-3


def test_without_schedulers_of_their_own_later_rounds_scale_those_of_the_config(task, tmp_path):
    built = task(iterations=[600, 30, 30], later=dict(optim_wrapper=LATER['optim_wrapper']))
    assert of_round(built, tmp_path, 1)[1] == [('LinearLR', 0, 5), ('PolyLR', 5, 30)]
