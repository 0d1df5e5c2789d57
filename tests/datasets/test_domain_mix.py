"""Source images with their label files beside answered images of the target."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('mmseg')

from dense_al.datasets.domain_mix import (  # noqa: E402
    DomainSampler,
    DomainsDataset,
    SourceSegDataset,
)
from dense_al.datasets.images import UnreadableSampleError  # noqa: E402
from dense_al.datasets.segmentation import PoolSegDataset  # noqa: E402

META = dict(classes=('a', 'b'))
STEPS = [
    dict(type='mmseg.LoadImageFromFile'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.PackSegInputs', meta_keys=('img_path', 'domain')),
]


@pytest.fixture
def records(tmp_path):
    found = []
    for i in range(3):
        image, label = tmp_path / f'{i}.png', tmp_path / f'{i}_label.png'
        Image.fromarray(np.full((4, 6, 3), 40 * i, np.uint8)).save(image)
        Image.fromarray(np.full((4, 6), i % 2, np.uint8)).save(label)
        found.append(dict(img_path=str(image), seg_map_path=str(label)))
    return found


def test_a_source_image_comes_with_its_labels_and_its_domain(records):
    data = SourceSegDataset(records, META, STEPS)[1]['data_samples']
    assert data.metainfo['domain'] == 'source'
    assert (data.gt_sem_seg.data == 1).all()


def test_a_source_image_that_fails_is_named_and_not_replaced(records, tmp_path):
    (tmp_path / '1_label.png').write_bytes(b'no image')
    with pytest.raises(UnreadableSampleError, match='1.png'):
        SourceSegDataset(records, META, STEPS)[1]


def test_both_domains_in_one(records):
    steps = [STEPS[0], STEPS[2]]
    target = PoolSegDataset(records[:2], [0, 1], None, META, steps)
    both = DomainsDataset(SourceSegDataset(records, META, STEPS), target)
    assert both.of_source == [True] * 3 + [False] * 2 and len(both) == 5
    assert both[3]['data_samples'].metainfo['domain'] == 'target'
    alone = DomainsDataset(SourceSegDataset(records, META, STEPS), None)
    assert alone.of_source == [True] * 3


@pytest.mark.parametrize('rank', [0, 1])
def test_each_process_sees_both_domains_in_a_batch(records, monkeypatch, rank):
    module = 'dense_al.datasets.level_sampler.'
    monkeypatch.setattr(module + 'get_dist_info', lambda: (rank, 2))
    domains = SimpleNamespace(of_source=[True] * 3 + [False] * 2)
    drawn = np.array(list(islice(DomainSampler(domains, 0.5, seed=1), 400)))
    assert ((drawn < 3).reshape(-1, 2).sum(1) == 1).all()


def test_the_sampler_keeps_the_share_of_the_source(records):
    source = SourceSegDataset(records, META, STEPS)
    target = PoolSegDataset(records[:1], [0], None, META, [STEPS[0], STEPS[2]])
    for share, period, times in ((0.25, 4, 1), (0.5, 2, 1), (0.6, 5, 3)):
        drawn = list(islice(DomainSampler(DomainsDataset(source, target), share, seed=1), 4000))
        of_source = (np.array(drawn) < 3).reshape(-1, period)
        assert (of_source.sum(1) == times).all()  # in each batch of that size
        assert set(drawn) == {0, 1, 2, 3}
    alone = islice(DomainSampler(DomainsDataset(source, None), 0.25, seed=1), 100)
    assert set(alone) == {0, 1, 2}
