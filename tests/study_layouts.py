"""Made-up studies with stored runs."""

import json

from dense_al.analysis.cells import cell_file
from dense_al.analysis.studies import read_study

STUDY = """
title: Made-up streets
world: Streets that nobody has seen.
methods:
  random: configs/random.py
  entropy: configs/entropy.py
floor:
  nothing asked: configs/floor.py
ceilings:
  all labels: configs/full.py
seeds: [0, 1, 2]
axis: percent
claim:
  text: 95 % with 5 % of the labels.
  share: 0.95
  at: 0.05
  methods: [entropy]
findings: |
  Because.
"""
KEY = 'current'


def write_study(folder, text=STUDY, name='made_up'):
    """Writes a description, returns the study."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{name}.yaml').write_text(text)
    return read_study(folder / f'{name}.yaml')


def store(cells, method, seed, values, fractions=None, key=KEY, study='made_up', **more):
    """Stores a run whose metric after each round is given."""
    fractions = fractions or [0.01 * (r + 1) for r in range(len(values))]
    rounds = [
        {
            'value': value,
            'labelled': {
                'units': 10 * (r + 1),
                'elements': int(10000 * fraction),
                'clicks': 100.0 * (r + 1),
                'seconds': 3600.0 * (r + 1),
                'fraction': fraction,
            },
            'per_class': {},
        }
        for r, (value, fraction) in enumerate(zip(values, fractions))
    ]
    content = {
        'key': key,
        'method': method,
        'seed': seed,
        'metric': 'mIoU',
        'kind': 'region',
        'elements_name': 'pixels',
        'threads': 1,
        'versions': {'torch': '2.13.0'},
        'rounds': rounds,
        **more,
    }
    path = cell_file(cells / study, method, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def store_all(cells, seeds=(0, 1, 2), **more):
    """Stores a whole study: entropy ends at 57 to 59 of 60, random at 50; the floor is 30."""
    for seed in seeds:
        store(cells, 'random', seed, [40 + seed, 44 + seed, 46 + seed, 48, 50], **more)
        store(cells, 'entropy', seed, [40 + seed, 47 + seed, 50 + seed, 55, 57 + seed], **more)
        store(cells, 'floor', seed, [29 + seed], [0.0], **more)
        store(cells, 'full', seed, [59 + seed], [1.0], **more)
