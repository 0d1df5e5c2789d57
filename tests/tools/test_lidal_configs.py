"""The numbers that LiDAL and ReDAL were published with, in the configs for the full data sets."""

import pytest
from scan_runs import CONFIGS

from dense_al.config import load_config

DATA = {'semantic_kitti': 19, 'nuscenes': 16}


def read(data, method):
    return load_config(CONFIGS / f'lidal/{data}_minkunet_{method}.py')


@pytest.mark.parametrize(('data', 'n_classes'), DATA.items())
def test_redal_is_as_lidal_ran_it(data, n_classes):
    acquisition = read(data, 'redal')['acquisition']
    weight = pytest.approx(0.05 * 0.6931 * n_classes)
    assert acquisition['unit'] == dict(type='Supervoxels', spacing=10.0)
    assert acquisition['score'] == [
        dict(type='Entropy'), dict(type='SurfaceVariation', weight=weight),
    ]  # fmt: skip
    assert acquisition['prefilter'] == 0.1 and acquisition['passes'] == 8
    assert acquisition['sampler'] == dict(type='DiversityAware', n_clusters=150)


def test_the_sandbox_keeps_regions_of_its_own():
    acquisition = load_config(CONFIGS / 'sandbox/town_redal.py')['acquisition']
    assert acquisition['unit'] == dict(type='Supervoxels', spacing=8.0)
