"""Observing objects for points against the model's own inference: images per second, in one run.

`python benchmarks/bench_points.py --run work_dirs/masks_entropy` takes the newest checkpoint of a
finished run of any config with points.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.runner import load_checkpoint

from dense_al.acquisition import PointUncertainty
from dense_al.engine.reopen import open_run, task_of
from dense_al.pool import WholeImages


def main() -> None:
    """Prints one line per acquisition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, required=True)
    parser.add_argument('--images', type=int, default=100)
    args = parser.parse_args()
    store = open_run(args.run)
    task = task_of(store)
    last = max(r for r in store.rounds() if store.checkpoint(r).is_file())
    samples = np.arange(min(args.images, len(task.manifest)))
    ledger, checkpoint = store.ledger(before=last), store.checkpoint(last)
    print(
        f'{len(samples)} images, {ledger.objects} objects in all, {torch.get_num_threads()} threads'
    )
    plain = timed(lambda: inference(task, checkpoint, samples, ledger))
    print(f'plain inference         {len(samples) / plain:7.1f} images/s')
    for metric in ('random', 'entropy', 'mutual_information'):
        acquisition = PointUncertainty(metric=metric)
        spent = timed(partial(observe, task, acquisition, checkpoint, samples, ledger))
        rate = len(samples) / spent
        print(f'{metric:20s}    {rate:7.1f} images/s, {plain / spent:.2f} x plain inference')


def timed(run: Callable[[], object], repeats: int = 3) -> float:
    """Least seconds of some runs."""
    spent = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begun)
    return min(spent)


@torch.no_grad()
def inference(task, checkpoint: Path, samples: np.ndarray, ledger) -> int:
    """Detections with masks, as mmdet makes them."""
    model = task._model()
    load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True, logger='silent')
    model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
    return sum(len(model.test_step(batch)) for batch in task._image_loader(samples, ledger))


def observe(task, acquisition, checkpoint: Path, samples: np.ndarray, ledger) -> list:
    """Rows of all objects."""
    units = WholeImages(task.manifest)
    found: Iterator = task.predict(
        checkpoint, samples, acquisition.needs, acquisition.options, ledger
    )
    return [acquisition.observe(p, int(s), units) for s, p in zip(samples, found)]


if __name__ == '__main__':
    main()
