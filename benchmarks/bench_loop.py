"""The loop's own overhead in a sandbox round, and observing against plain inference, in one run.

Overhead is everything that is not training, evaluation or forward passes over the pool. Targets:
under 5 % of a round of the sandbox, under 1 % of a round ten times longer; observing at 0.9 of the
throughput of plain inference or more.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.runner import load_checkpoint

from dense_al.engine.build import build
from dense_al.engine.main import parse
from dense_al.engine.observe import observe

CONFIG = Path(__file__).resolve().parents[1] / 'configs/sandbox/streets_entropy.py'


def run_rounds(folder, iterations, rounds):
    """Runs complete rounds; returns the learner and (round, own seconds, all seconds) of each."""
    options = [f'rounds.iterations={iterations}', f'rounds.count={rounds + 1}']
    options += [f'sandbox.root={folder}/world', 'budget.per_round=2']
    for loader in ('train', 'val', 'test'):
        options.append(f'{loader}_dataloader.dataset.data_root={folder}/world')
    work_dir = str(folder / f'run_{iterations}')
    learner = build(parse([str(CONFIG), '--work-dir', work_dir, '--cfg-options', *options]))
    learner.label_initially()
    found = []
    for number in range(rounds):
        begun = time.perf_counter()
        learner.run_round(number)
        whole = time.perf_counter() - begun
        train, query = (learner.store.read(number, step)['seconds'] for step in ('train', 'query'))
        inside = train['train'] + train['evaluate'] + query['forward']
        found.append((number, whole - inside, whole))
    return learner, found


def plain_inference(learner, checkpoint, samples, ledger):
    """Seconds of the model's own test loop over the pool."""
    model = learner.task._model()
    load_checkpoint(model, str(checkpoint), map_location='cpu', logger='silent')
    model.eval()
    begun = time.perf_counter()
    with torch.no_grad():
        for batch in learner.task._image_loader(samples, ledger):
            model.test_step(batch)
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--iterations', type=int, default=300)
    parser.add_argument('--repeats', type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learner, short = run_rounds(folder, args.iterations, 3)
        for number, own, whole in short:
            print(f'round {number} of {args.iterations} iterations: {whole:.1f} s, of which '
                  f'{own:.2f} s the loop\'s own = {100 * own / whole:.2f} %')  # fmt: skip
        checkpoint, ledger = learner.store.checkpoint(0), learner.store.ledger(before=0)
        samples = np.arange(len(learner.task.manifest))
        plain, seen = [], []
        for _ in range(args.repeats):
            plain.append(plain_inference(learner, checkpoint, samples, ledger))
            begun = time.perf_counter()
            options = learner.acquisition.recall(())
            observe(learner.task, learner.acquisition, learner.units, samples, checkpoint, ledger,
                    options, progress=False)  # fmt: skip
            seen.append(time.perf_counter() - begun)
        ratio = min(plain) / min(seen)
        print(f'observe {min(seen):.2f} s, plain inference {min(plain):.2f} s: {ratio:.2f} of its '
              f'throughput')  # fmt: skip
        _, long = run_rounds(folder, 10 * args.iterations, 1)
        number, own, whole = long[0]
        print(f'round {number} of {10 * args.iterations} iterations: {whole:.1f} s, of which '
              f'{own:.2f} s the loop\'s own = {100 * own / whole:.2f} %')  # fmt: skip
        print(json.dumps({'short': short, 'long': long, 'observe_ratio': ratio}))


if __name__ == '__main__':
    main()
