"""Greedy k-center against as many matrix-vector products over the same data, in one run."""

import argparse
import time

import numpy as np

from dense_al.acquisition.functional.k_center import k_center_greedy


def products(features, rows):
    """The products alone, one per pick."""
    out = np.empty(len(features), features.dtype)
    for row in rows:
        np.dot(features, features[row], out=out)


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rows', type=int, default=50_000)
    parser.add_argument('--dim', type=int, default=512)
    parser.add_argument('--picks', type=int, default=500)
    parser.add_argument('--labelled', type=int, default=500)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    features = rng.standard_normal((args.rows, args.dim), dtype=np.float32)
    labelled = np.arange(args.rows) < args.labelled
    ours, reference, start = [], [], []
    picks = k_center_greedy(features, labelled, args.picks)
    for _ in range(args.repeats):
        ours.append(timed(k_center_greedy, features, labelled, args.picks)[0])
        reference.append(timed(products, features, picks)[0])
        start.append(timed(k_center_greedy, features, labelled, 1)[0])
    ratio = np.median(np.array(ours) / np.array(reference))
    print(f'{args.rows} x {args.dim}, {args.labelled} labelled, {args.picks} picks')
    print(f'  k_center_greedy {np.median(ours):.2f} s, of which start {np.median(start):.2f} s')
    print(f'  {args.picks} matrix-vector products {np.median(reference):.2f} s')
    print(f'  ratio {ratio:.2f}')


if __name__ == '__main__':
    main()
