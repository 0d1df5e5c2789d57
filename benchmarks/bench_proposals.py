"""Recall of proposals on generated images of objects with parts, and the time they take."""

import time

import numpy as np
import threadpoolctl
from PIL import Image
from skimage import data

from dense_al.proposals import ProposalSpec, propose_boxes, recall
from dense_al.sandbox import GlyphsSpec, glyph_parts, render_glyphs

WORLD = GlyphsSpec(parts=1, mean_count=2, scale_low=0.15, n_train=100, n_val=0)
GRID = (0.75, 0.45, 0.25)
MAKERS = {
    'selective': ProposalSpec(),
    'grid': ProposalSpec(colours=(), grid=GRID),
    'grid with small': ProposalSpec(colours=(), grid=(0.45, 0.17)),
    'both': ProposalSpec(grid=(0.45,)),
}


def timed(image, spec, repeats=5):
    """Boxes and the median seconds of the processor, which others at work disturb least."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        boxes = propose_boxes(image, spec)
        times.append(time.process_time() - start)
    return boxes, float(np.median(times))


def main():
    threadpoolctl.threadpool_limits(1)
    scenes = [render_glyphs(WORLD, 'train', i) for i in range(WORLD.n_train)]
    objects = [scene.boxes for scene in scenes]
    parts = [glyph_parts(WORLD, 'train', i) for i in range(WORLD.n_train)]
    print(f'{sum(map(len, objects))} objects in {len(scenes)} images of {WORLD.side} pixels')
    print('maker            cap  boxes  object@.5  object@.7  part@.5  part@.7')
    for name, spec in MAKERS.items():
        found = [propose_boxes(scene.image, spec) for scene in scenes]
        # A grid's order says nothing: any part of it is as good as its beginning.
        rng = np.random.default_rng(0)
        if not spec.colours:
            found = [f[rng.permutation(len(f))] for f in found]
        for cap in (60, 100, 200, 300):
            capped = [f[:cap] for f in found]
            if name == 'both':
                kept = ProposalSpec(grid=spec.grid, max_boxes=cap)
                capped = [propose_boxes(scene.image, kept) for scene in scenes]
            count = np.mean([len(c) for c in capped])
            values = [recall(t, capped, at) for t in (objects, parts) for at in (0.5, 0.7)]
            row = '  '.join(f'{v:8.3f}' for v in values)
            print(f'{name:15} {cap:4} {count:6.0f} {row}')
    for title, image in (
        ('96 x 96', scenes[0].image),
        *(
            (f'375 x 500 {n}', _sized(getattr(data, n)()))
            for n in ('astronaut', 'chelsea', 'coffee')
        ),
    ):
        boxes, seconds = timed(image, ProposalSpec())
        print(f'{title:20} {len(boxes):5} boxes  {1000 * seconds:6.0f} ms on one core')


def _sized(image):
    return np.asarray(Image.fromarray(image).resize((500, 375)))


if __name__ == '__main__':
    main()
