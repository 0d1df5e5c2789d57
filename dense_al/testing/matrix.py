"""Which acquisition asks about which units of which task: declared here, tested cell by cell."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Task -> a shipped config of it, whose acquisition is replaced.
TASKS = {
    'segmentation': 'sandbox/streets_random.py',
    'two domains': 'sandbox/domains_random.py',
    'boxes': 'sandbox/glyphs_random.py',
    'tags': 'sandbox/parts_u_random.py',
    'masks': 'sandbox/masks_random.py',
    'scans': 'sandbox/town_random.py',
}
UNITS: dict[str, dict[str, Any]] = {
    'Image': dict(type='Image'),
    'Superpixels': dict(type='Superpixels', n_segments=16),
    'Grid': dict(type='Grid', size=16),
    'BalancedClusters': dict(type='BalancedClusters', n_regions=6),
    'Supervoxels': dict(type='Supervoxels', min_points=20),
    'WorldCells': dict(type='WorldCells', size=(6.0, 6.0)),
}
PIXELS = ('segmentation', 'two domains')
OF_IMAGES = {'Superpixels': PIXELS, 'Grid': PIXELS}
OF_SCANS = {unit: ('scans',) for unit in ('BalancedClusters', 'Supervoxels', 'WorldCells')}
REGIONS = {**OF_IMAGES, **OF_SCANS}
EVERYWHERE = tuple(TASKS)


@dataclass(frozen=True)
class Row:
    """An acquisition and where it works.

    Attributes:
        name: For readers.
        config: Its config, without `unit` where it takes one.
        works: Unit -> tasks; where it takes no unit the one key is what it asks about.
        oracle: What of the oracle is different.
    """

    name: str
    config: dict[str, Any]
    works: Mapping[str, tuple[str, ...]]
    oracle: dict[str, Any] = field(default_factory=dict)

    @property
    def takes_units(self) -> bool:
        """Whether the config names the units."""
        return all(unit in UNITS for unit in self.works)


def composed(name: str, works: Mapping[str, tuple[str, ...]], **config: Any) -> Row:
    """A row of `Composed`."""
    return Row(name, dict(type='Composed', **config), works)


DENSE = {'Image': (*PIXELS, 'scans'), **REGIONS}
ADAPTED: dict[str, tuple[str, ...]] = {unit: ('two domains',) for unit in ('Image', *OF_IMAGES)}
ROWS: tuple[Row, ...] = (
    composed('random', {'Image': EVERYWHERE, **REGIONS}, score='Random'),
    composed('entropy', DENSE, score='Entropy'),
    composed('margin', DENSE, score='Margin'),
    composed('least confidence', DENSE, score='LeastConfidence'),
    composed('BvSB-CB', DENSE, score='BestVersusSecondBest', weight='rarity'),
    composed('RIPU', {'Image': PIXELS, **OF_IMAGES}, score=dict(type='RIPU', radius=2)),
    composed('surface variation', {'Image': ('scans',), **OF_SCANS}, score='SurfaceVariation'),
    composed(
        'segment entropy',
        {'Image': ('scans',), **OF_SCANS},
        score=dict(type='SegmentEntropy', regions=UNITS['BalancedClusters']),
    ),
    composed('k-center', DENSE, sampler='KCenter'),
    composed('k-means++', DENSE, sampler='KMeansPlusPlus'),
    composed('BADGE', DENSE, sampler='Badge'),
    composed('BASE', DENSE, sampler='BoundaryQuota'),
    composed('CDAL', DENSE, sampler='ClassMixtures'),
    composed('CLUE', DENSE, score='Entropy', sampler='Clue'),
    composed('ReDAL', DENSE, score='Entropy', sampler=dict(type='DiversityAware', n_clusters=2)),
    Row('density-aware (D2ADA)', dict(type='DensityAware'), ADAPTED),
    Row('domain classifier (AADA)', dict(type='DomainClassifier'), ADAPTED),
    Row('inter-frame (LiDAL)', dict(type='InterFrame'), {'Image': ('scans',), **OF_SCANS}),
    Row(
        'entropy, one class per unit',
        dict(type='Composed', score='Entropy'),
        DENSE,
        oracle=dict(dominant=True),
    ),
    Row('pixels', dict(type='PixelUncertainty', per_image=2), {'pixels': (*PIXELS, 'scans')}),
    Row('box uncertainty', dict(type='BoxUncertainty'), {'images': ('boxes', 'tags', 'masks')}),
    Row('image core-set', dict(type='ImageCoreSet'), {'images': ('boxes', 'tags', 'masks')}),
    Row('class-balanced random', dict(type='ClassBalancedRandom'), {'images': ('tags',)}),
    Row('loss on tags', dict(type='WeakLoss'), {'images': ('tags',)}),
    Row('box in box (BiB)', dict(type='BoxInBox'), {'images': ('boxes', 'tags', 'masks')}),
    Row('points on objects', dict(type='PointUncertainty'), {'points': ('masks',)}),
    Row('masks of objects', dict(type='MaskUncertainty'), {'objects': ('masks',)}),
)


def cells() -> Iterator[tuple[Row, str, str, bool]]:
    """Row, unit, task, and whether it works, of every cell."""
    for row in ROWS:
        for unit in UNITS if row.takes_units else row.works:
            for task in TASKS:
                yield row, unit, task, task in row.works.get(unit, ())


def config_of(row: Row, unit: str, base: dict[str, Any]) -> dict[str, Any]:
    """The config of a cell.

    Args:
        row: The acquisition.
        unit: What it asks about.
        base: A config of the task.
    """
    acquisition = {**row.config, **({'unit': UNITS[unit]} if row.takes_units else {})}
    cfg = {**base, 'acquisition': acquisition, 'oracle': {**base['oracle'], **row.oracle}}
    if unit.lower() in ('image', 'images') and base['budget']['unit'] == 'per_object':
        # What asks about objects begins with the boxes of all images, which leaves no image to ask.
        cfg['budget'] = dict(per_round=1, unit='units')
        cfg['rounds'] = {**base['rounds'], 'initial': dict(budget=dict(per_round=3, unit='units'))}
    return cfg


def page() -> str:
    """The matrix as a page of Markdown."""
    lines = [
        '# Which acquisition asks about what',
        '',
        'Each cell names the units that work: `al_train.py --dry-run` accepts them on tiny data,',
        'and refuses all others with an error that says why. `tests/test_matrix.py` tries them all',
        'and checks this page, which `python -m dense_al.testing.matrix` prints.',
        '',
        '| acquisition | ' + ' | '.join(TASKS) + ' |',
        '|---' * (len(TASKS) + 1) + '|',
    ]
    for row in ROWS:
        of_task = [[u for u, tasks in row.works.items() if task in tasks] for task in TASKS]
        lines.append(f'| {row.name} | ' + ' | '.join(', '.join(u) or '-' for u in of_task) + ' |')
    lines += ['', 'Tasks are tried with these configs, whose acquisition is replaced:', '']
    lines += [f'- {task}: `configs/{path}`' for task, path in TASKS.items()]
    lines += ['', 'Acquisitions, beside their units:', '']
    for row in ROWS:
        oracle = f', `oracle = {row.oracle}`' if row.oracle else ''
        lines.append(f'- {row.name}: `{row.config}`{oracle}')
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    sys.stdout.write(page())
