"""RIPU's impurity at small and large radii against a filter with a kernel of ones, in one run."""

import argparse
import time

import numpy as np
import torch

from dense_al.acquisition.functional.ripu import region_impurity, ripu_score


def convolved(probs, radius):
    """One-hot classes, a depthwise convolution with ones, entropy of the counts."""
    probs = torch.from_numpy(probs)
    classes = len(probs)
    onehot = torch.nn.functional.one_hot(probs.argmax(dim=0), classes).permute(2, 0, 1).float()
    side = 2 * radius + 1
    kernel = torch.ones(classes, 1, side, side)
    counts = torch.nn.functional.conv2d(onehot[None], kernel, padding=radius, groups=classes)[0]
    share = counts / counts.sum(dim=0)
    return (-(share * (share + 1e-6).log()).sum(dim=0) / np.log(classes)).numpy()


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shape', type=int, nargs=3, default=(19, 640, 1280))
    parser.add_argument('--radii', type=int, nargs='+', default=(1, 16, 64))
    parser.add_argument('--reference-up-to', type=int, default=4, help='largest radius convolved')
    parser.add_argument('--repeats', type=int, default=7)
    args = parser.parse_args()
    logits = np.random.default_rng(0).standard_normal(args.shape, dtype=np.float32)
    probs = np.exp(3 * logits)
    probs /= probs.sum(axis=0)
    print('x'.join(map(str, args.shape)))
    for radius in args.radii:
        ours, score, reference = [], [], []
        for _ in range(args.repeats):
            seconds, found = timed(region_impurity, probs, radius)
            ours.append(seconds)
            score.append(timed(ripu_score, probs, radius)[0])
            if radius <= args.reference_up_to:
                seconds, expected = timed(convolved, probs, radius)
                reference.append(seconds)
        line = (
            f'  radius {radius}: impurity {np.median(ours):.3f} s, score {np.median(score):.3f} s'
        )
        if reference:
            np.testing.assert_allclose(found, expected, atol=1e-4)
            ratio = np.median(np.array(reference) / np.array(ours))
            line += f', convolution {np.median(reference):.2f} s, ratio {ratio:.1f}'
        print(line)


if __name__ == '__main__':
    main()
