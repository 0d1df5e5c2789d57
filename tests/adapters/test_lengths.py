"""How long a round is where several processes train, and how many classes a pool may have."""

import mmcv
import numpy as np
import pytest
from PIL import Image

from dense_al.adapters import framework
from dense_al.adapters.task import Rounds, TrainJob
from dense_al.pool import Ledger
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Pixels


class Stop(Exception):
    """The length is known; nothing more is built."""


def lengths(task, tmp_path, monkeypatch, processes):
    """(iterations of a pass over what is labelled, over the pool) of 5 labelled samples."""

    def stop(cfg, iterations, epochs, per_epoch, old_per_epoch):
        raise Stop(per_epoch, old_per_epoch)

    monkeypatch.setattr(framework, 'get_world_size', lambda: processes)
    monkeypatch.setattr(framework.surgery, 'set_length', stop)
    answers = []
    for sample in range(5):
        n = int(task.manifest.areas[sample])
        payload = Pixels(np.zeros(n, np.uint8)).encode()
        answers.append(Answer(sample, -1, 0, 'image', 'answered', 'x', n, 0, 0, 0, -1, payload))
    job = TrainJob(0, Ledger([answers]), None, tmp_path, tmp_path / 'c.pth', None, 0)
    with pytest.raises(Stop) as stopped:
        task._runner(job, 'train')
    return stopped.value.args


def built(path):
    from dense_al.adapters import build_task
    from dense_al.config import load_config

    return build_task(load_config(path), Rounds(count=1, epochs=1), partial=True)


def test_a_pass_over_the_data_is_that_of_all_processes(small_config, tmp_path, monkeypatch):
    task = built(small_config())
    # 8 images in batches of 2 per process.
    assert lengths(task, tmp_path, monkeypatch, 1) == (3, 4)
    assert lengths(task, tmp_path, monkeypatch, 2) == (2, 2)
    assert lengths(task, tmp_path, monkeypatch, 8) == (1, 1)


def test_an_epoch_of_the_config_has_no_source_samples(small_config, tmp_path, monkeypatch):
    task = built(small_config())
    task.manifest = task.manifest.with_source(task.manifest)
    assert lengths(task, tmp_path, monkeypatch, 1) == (3, 4)


def test_more_classes_than_a_byte_names_are_refused(small_config):
    more = 'names = [str(i) for i in range({n})]\ntrain_dataloader["dataset"]["metainfo"] = dict(' \
           'classes=names, palette=[[i % 256] * 3 for i in range({n})])\n'  # fmt: skip
    assert len(built(small_config(more=more.format(n=255))).classes) == 255
    with pytest.raises(ConfigError, match='at most 255 classes in .*but got 256'):
        built(small_config(more=more.format(n=256)))


@pytest.mark.parametrize('kind', ['tif', 'webp', 'jpg'])
def test_sizes_in_the_manifest_are_those_of_what_is_loaded(tmp_path, kind):
    exif = Image.Exif()
    exif[274] = 6
    path = str(tmp_path / f'a.{kind}')
    Image.new('RGB', (30, 20)).save(path, exif=exif)
    size = framework._manifest([dict(img_path=path)], 'data').size(0)
    assert size == mmcv.imread(path).shape[:2]
