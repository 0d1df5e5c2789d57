"""A tiny world and a tiny model, for runs that take seconds."""

import signal
import sys
from pathlib import Path

import pytest

from dense_al import ops

ops.install()  # before anything imports mmcv, as the command line does
# A shell ignores Ctrl-C for what it starts in the background, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SMALL = """
_base_ = ['{base}']
sandbox = dict(
    root='{root}', spec=dict(n_train=8, n_val=3, n_source=0, height=48, width=96))
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
val_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
test_dataloader = val_dataloader
model = dict(backbone=dict(base_channels=4), decode_head=dict(in_channels=4, channels=4))
acquisition = dict(unit=dict(n_segments=16))
budget = dict(per_round=5)
rounds = dict(count=3, iterations=6)
"""


@pytest.fixture(autouse=True, scope='module')
def no_scope_of_other_modules():
    """mmengine looks names up in the scope that was set last, in whatever file that was."""
    if 'mmengine' in sys.modules:
        from mmengine.registry import DefaultScope

        DefaultScope._instance_dict.clear()


@pytest.fixture
def one_thread():
    """spconv is right on one thread of a CPU only."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='session')
def world(tmp_path_factory):
    """Folder of a tiny street world; do not write into it."""
    from dense_al.sandbox import StreetsSpec, write_streets

    spec = StreetsSpec(n_train=8, n_val=3, n_source=0, height=48, width=96)
    return write_streets(tmp_path_factory.mktemp('data') / 'streets', spec)


@pytest.fixture
def small_config(tmp_path, world):
    """Writes a config of a run that takes seconds; returns its path."""

    def write(method='entropy', root=world, more=''):
        base = CONFIGS / f'sandbox/streets_{method}.py'
        path = tmp_path / f'small_{method}.py'
        path.write_text(SMALL.format(base=base, root=root) + more)
        return str(path)

    return write
