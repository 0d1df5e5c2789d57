"""What an acquisition needs and a kind of samples does not provide is refused, before a model."""

import pytest

from dense_al.adapters.lidar import ScanTask
from dense_al.adapters.mmdet import MMDetTask
from dense_al.adapters.mmseg import MMSegTask
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.testing.stub import StubTask

GRID = dict(type='Grid', size=4)
WINDOWS = dict(type='RIPU', radius=32)


@pytest.mark.parametrize(
    ('task', 'given', 'missing'),
    [
        (MMSegTask, dict(type='Composed', unit=GRID, score='SurfaceVariation'), 'points'),
        (
            MMSegTask,
            dict(type='Composed', unit=GRID, score=['Entropy', 'SegmentEntropy']),
            'points',
        ),
        (MMSegTask, dict(type='InterFrame', unit='WorldCells'), 'points'),
        (MMSegTask, dict(type='Composed', unit=GRID, score='Entropy', passes=2), 'passes'),
        (MMSegTask, dict(type='BoxUncertainty'), 'boxes'),
        (ScanTask, dict(type='Composed', unit='WorldCells', score='RIPU'), 'grid'),
        (ScanTask, dict(type='DensityAware', unit='WorldCells', uncertainty=WINDOWS), 'grid'),
        (ScanTask, dict(type='PixelUncertainty', min_distance=3), 'grid'),
        (ScanTask, dict(type='PixelUncertainty', score=WINDOWS), 'grid'),
        (MMDetTask, dict(type='Composed', unit=GRID, sampler='KCenter'), 'features'),
    ],
)
def test_what_is_missing_is_named(task, given, missing):
    needs = ACQUISITIONS.build(given, 'acquisition').needs
    message = rf'for {task.samples}, which may need .*, but got one that needs .*{missing}'
    with pytest.raises(ConfigError, match=message):
        object.__new__(task).check_config(needs)  # no model is built for it


@pytest.mark.parametrize(
    ('task', 'given'),
    [
        (ScanTask, dict(type='Composed', unit='WorldCells', score='SurfaceVariation')),
        (ScanTask, dict(type='InterFrame', unit='WorldCells')),
        (ScanTask, dict(type='Composed', unit='WorldCells', score='Entropy', passes=8)),
        (MMSegTask, dict(type='Composed', unit=GRID, score='Entropy', passes=1)),
        (MMSegTask, dict(type='Composed', unit=GRID, score='Random', passes=8)),
        (ScanTask, dict(type='PixelUncertainty')),
        (MMSegTask, dict(type='Composed', unit=GRID, score='RIPU', sampler='Badge')),
        (MMSegTask, dict(type='PixelUncertainty', score=WINDOWS, min_distance=33)),
        (MMDetTask, dict(type='PointUncertainty')),
        (MMDetTask, dict(type='ImageCoreSet', weight='entropy')),
        (StubTask, dict(type='Composed', unit=GRID, score='RIPU', sampler='KCenter')),
    ],
)
def test_what_there_is_may_be_needed(task, given):
    assert ACQUISITIONS.build(given, 'acquisition').needs <= task.provides
