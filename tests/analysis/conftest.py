"""A writer of made-up runs in the format of docs/design/formats.md."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dense_al.structures import Pixels

CLASSES = ('road', 'building', 'tree', 'car', 'person')
COLOURS = ((90, 90, 95), (170, 120, 90), (60, 130, 60), (40, 60, 170), (220, 170, 140))
SIZE = (96, 128)
CELL = 16
METHODS = {
    'random': {'type': 'Composed', 'score': {'type': 'Random'}, 'sampler': {'type': 'TopK'}},
    'entropy': {'type': 'Composed', 'score': {'type': 'Entropy'}, 'sampler': {'type': 'TopK'}},
    'coreset': {'type': 'Composed', 'score': {'type': 'Margin'}, 'sampler': {'type': 'KCenter'}},
}
GAIN = {'random': 0.0, 'entropy': 0.05, 'coreset': 0.03}


def region_map(sample: int) -> np.ndarray:
    """(96, 128) int64, a grid of cells; the same for all samples."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] // CELL
    return y * (SIZE[1] // CELL) + x


def truth_of(sample: int) -> np.ndarray:
    """(96, 128) uint8 classes of a made-up street."""
    rng = np.random.default_rng(sample)
    labels = np.zeros(SIZE, np.uint8)
    labels[:50] = 1
    labels[: rng.integers(15, 40), rng.integers(20, 60) :] = 2
    x = int(rng.integers(5, 90))
    labels[55:75, x : x + 30] = 3
    labels[40:70, (x + 50) % 120 : (x + 50) % 120 + 6] = 4
    return labels


def write_pictures(folder: Path, n: int) -> list[Path]:
    """Writes `n` pictures that show `truth_of`."""
    colours = np.array(
        [(90, 90, 95), (170, 120, 90), (60, 130, 60), (40, 60, 170), (220, 170, 140)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for sample in range(n):
        noise = np.random.default_rng(sample).normal(0, 12, (*SIZE, 3))
        picture = (colours[truth_of(sample)] + noise).clip(0, 255).astype(np.uint8)
        paths.append(folder / f'street_{sample:02d}.png')
        Image.fromarray(picture).save(paths[-1])
    return paths


class RunWriter:
    """Writes runs; `pictures` are shared by all of them."""

    def __init__(self, root: Path, n_samples: int = 12) -> None:
        self.root = root
        self.paths = write_pictures(root / 'pictures', n_samples)

    def __call__(
        self, method='entropy', seed=0, rounds=5, kind='region', stop='', folder='', units=20
    ) -> Path:
        """Writes a run of `rounds` trained rounds.

        `stop` names the step of the last round after which the run was interrupted: `train`
        (a finished run, the default), `query`, `round`, or `uncommitted` (query.parquet without
        its json).
        """
        work_dir = self.root / (folder or f'{method}/seed_{seed}')
        work_dir.mkdir(parents=True)
        rng = np.random.default_rng([seed, sorted(METHODS).index(method)])
        acquisition = METHODS[method]
        (work_dir / 'config.py').write_text(f'seed = {seed}\nacquisition = {acquisition!r}\n')
        _json(work_dir / 'environment.json', {'seed': seed, 'versions': {'torch': '2.13.0'}})
        self._manifest(work_dir)
        asked: set[tuple[int, int]] = set()
        cost = self._ask(work_dir / 'initial', -1, 'initial', kind, units, rng, asked, 'round')
        for number in range(rounds):
            path = work_dir / 'rounds' / f'{number:03d}'
            self._train(path, method, number, cost, rng)
            last = number == rounds - 1
            upto = (stop or 'train') if last else 'round'
            paid = self._ask(path, number, acquisition, kind, units, rng, asked, upto)
            cost = {k: cost[k] + paid.get(k, 0) for k in cost}
        return work_dir

    def _manifest(self, work_dir: Path) -> None:
        n = len(self.paths)
        columns = {
            'index': np.arange(n),
            'name': [p.stem for p in self.paths],
            'path': [str(p) for p in self.paths],
            'domain': ['target'] * n,
            'sequence': [''] * n,
            'frame': np.zeros(n, np.int64),
            'height': np.full(n, SIZE[0]),
            'width': np.full(n, SIZE[1]),
        }
        pq.write_table(pa.table(columns), work_dir / 'manifest.parquet')

    def _train(self, path: Path, method: str, number: int, cost: dict, rng) -> None:
        (path / 'train').mkdir(parents=True)
        level = 0.7 - 0.4 * np.exp(-number / 2) + GAIN[method] * min(number, 2) / 2
        per_class = {
            c: float(np.clip(level + rng.normal(0, 0.015) - 0.08 * i + 0.16, 0, 1))
            for i, c in enumerate(CLASSES)
        }
        value = float(np.mean(list(per_class.values())))
        total = len(self.paths) * SIZE[0] * SIZE[1]
        _json(
            path / 'train.json',
            {
                'round': number,
                'metric': 'mIoU',
                'value': value,
                'metrics': {'mIoU': value, 'aAcc': min(1.0, value + 0.2)},
                'per_class': per_class,
                'classes': list(CLASSES),
                'labelled': {**cost, 'fraction': cost['elements'] / total},
                'seconds': {'train': 30 + 5.0 * number, 'evaluate': 4.0},
                'exact': True,
            },
        )

    def _ask(self, path, number, acquisition, kind, n, rng, asked, upto) -> dict:
        if upto == 'train':
            return dict.fromkeys(('units', 'elements', 'clicks', 'seconds'), 0)
        path.mkdir(parents=True, exist_ok=True)
        cells = 1 if kind == 'image' else int(region_map(0).max()) + 1
        pool = [(s, u) for s in range(len(self.paths)) for u in range(cells)]
        pool = [key for key in pool if key not in asked]
        picked = [pool[i] for i in rng.permutation(len(pool))[: n if cells > 1 else 2]]
        asked.update(picked)
        sizes = [SIZE[0] * SIZE[1] if kind == 'image' else CELL * CELL] * len(picked)
        query = {
            'sample': pa.array([s for s, _ in picked], pa.int64()),
            'instance': pa.array([-1] * len(picked), pa.int64()),
            'unit': pa.array([u for _, u in picked], pa.int64()),
            'score': np.sort(rng.random(len(picked)))[::-1],
            'size': pa.array(sizes, pa.int64()),
        }
        pq.write_table(pa.table(query), path / 'query.parquet')
        if upto == 'uncommitted':
            return {}
        cfg = acquisition if isinstance(acquisition, dict) else {'type': 'Initial'}
        body = {'round': number, 'kind': kind, 'acquisition': cfg, 'budget': {'units': n}}
        seconds = {'observe': 6.0, 'select': 0.4}
        _json(path / 'query.json', {**body, 'n_units': len(picked), 'seconds': seconds})
        return {} if upto == 'query' else self._answer(path, number, kind, picked)

    def _answer(self, path: Path, number: int, kind: str, picked: list) -> dict:
        rows, histogram = [], dict.fromkeys(CLASSES, 0)
        for place, (sample, unit) in enumerate(picked):
            truth = truth_of(sample)
            labels = truth.ravel() if kind == 'image' else truth[region_map(sample) == unit]
            declined = place == 3
            labels = np.full_like(labels, 255) if declined else labels.copy()
            labels[:4] = 255
            for i, name in enumerate(CLASSES):
                histogram[name] += int((labels == i).sum())
            clicks = 1.0 + len(np.unique(labels))
            rows.append(
                {
                    'sample': sample,
                    'instance': -1,
                    'unit': unit,
                    'kind': kind,
                    'status': 'declined' if declined else 'answered',
                    'source': 'ground_truth',
                    'elements': len(labels),
                    'category': 0,
                    'clicks': clicks,
                    'seconds': 3.5 * clicks,
                    'expires_round': -1,
                    'payload': Pixels(labels).encode(),
                }
            )
        pq.write_table(pa.Table.from_pylist(rows), path / 'answers.parquet')
        cost = {k: sum(r[k] for r in rows) for k in ('elements', 'clicks', 'seconds')}
        cost = {'units': len(rows), **cost}
        body = {'round': number, 'answered': len(rows) - 1, 'declined': 1, 'cost': cost}
        body |= {'class_histogram': histogram, 'seconds': {'ask': 0.3, 'record': 0.1}}
        _json(path / 'round.json', {**body, 'overhead_seconds': 0.15})
        return cost


def _json(path: Path, body: dict) -> None:
    path.write_text(json.dumps(body))


@pytest.fixture(scope='session')
def runs_folder(tmp_path_factory) -> Path:
    """A folder with three methods of three seeds each, 5 rounds; do not write into it."""
    writer = RunWriter(tmp_path_factory.mktemp('runs'))
    for method in METHODS:
        for seed in range(3):
            writer(method, seed)
    return writer.root


@pytest.fixture
def write_run(tmp_path) -> RunWriter:
    """Writes runs into a fresh folder."""
    return RunWriter(tmp_path)
