"""A backbone that has seen single glyphs, in place of the downloads of the published sandbox."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, interpolate, pad

from dense_al.files import write_atomically
from dense_al.sandbox.glyphs import GlyphsSpec, glyph_parts, render_glyphs

CROP = 40  # side of a glyph with its surroundings, pixels
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def pretrained_backbone(
    backbone: Mapping[str, Any],
    spec: GlyphsSpec,
    path: str | os.PathLike[str],
    *,
    scenes: int = 1500,
    iterations: int = 600,
    window: int | None = None,
) -> Path:
    """Trains a backbone to name single glyphs, once; the file says what it was made from.

    Args:
        backbone: Config of an mmdet backbone.
        spec: The world; scenes beyond its training images are cut up, so no image of it is seen.
        path: File to write, with the weights under `backbone.`.
        scenes: Scenes to cut glyphs from.
        iterations: Of 64 glyphs each.
        window: See `glyph_crops`.

    Returns:
        The absolute path.
    """
    path = Path(os.path.abspath(path))
    plain = json.dumps(
        [dict(backbone), vars(spec), scenes, iterations, *([window] if window else [])],
        sort_keys=True,
        default=str,
    )
    key = hashlib.sha256(plain.encode()).hexdigest()[:16]
    if path.is_file() and torch.load(path, weights_only=True).get('key') == key:
        return path
    images, labels = glyph_crops(spec, scenes, window)
    model = _train(backbone, images, labels, iterations)
    state = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    write_atomically(path, lambda file: torch.save({'state_dict': state, 'key': key}, file))
    return path


def glyph_crops(
    spec: GlyphsSpec, scenes: int, window: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Objects cut out of scenes that are not in the world.

    Args:
        spec: The world.
        scenes: How many.
        window: None: an object with a margin of a fifth fills the crop. Else pixels of a square
            around the middle of each glyph, in the size they have in the scene.

    Returns:
        (N, 3, S, S) float32 normalised RGB and (N,) int64 classes; S is CROP or `window`.
    """
    crops, labels = [], []
    scale = torch.tensor(STD).view(1, 3, 1, 1)
    for index in range(spec.n_train, spec.n_train + scenes):
        scene = render_glyphs(spec, 'train', index)
        image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].float()
        image = (image - torch.tensor(MEAN).view(1, 3, 1, 1)) / scale
        if window is not None:
            padded = pad(image, (window // 2,) * 4, mode='reflect')
            for part in glyph_parts(spec, 'train', index):
                x, y = int(part[0] + part[2]) // 2, int(part[1] + part[3]) // 2
                crops.append(padded[:, :, y : y + window, x : x + window])
            labels += [int(label) for label in scene.labels]
            continue
        for box, label in zip(scene.boxes, scene.labels):
            margin = 0.2 * float(max(box[2] - box[0], box[3] - box[1]))
            x1, y1 = (max(0, int(v - margin)) for v in box[:2])
            x2, y2 = (int(np.ceil(v + margin)) for v in box[2:])
            cut = image[:, :, y1:y2, x1:x2]
            crops.append(interpolate(cut, (CROP, CROP), mode='bilinear', align_corners=False))
            labels.append(int(label))
    return torch.cat(crops), torch.tensor(labels)


def _train(
    backbone: Mapping[str, Any], images: torch.Tensor, labels: torch.Tensor, iterations: int
) -> torch.nn.Module:
    """The backbone after training it with a linear layer on its pooled last stage."""
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope('mmdet')

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # A backbone that the detector keeps frozen is not frozen here.
        free = {'frozen_stages': -1, 'norm_eval': False}
        model = MODELS.build({**backbone, **{k: v for k, v in free.items() if k in backbone}})
        model.train()
        with torch.no_grad():
            width = model(images[:2])[-1].shape[1]
        head = torch.nn.Linear(width, int(labels.max()) + 1)
        parameters = [*model.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, iterations)
        for _ in range(iterations):
            chosen = torch.randint(len(images), (64,))
            pooled = model(images[chosen])[-1].mean((2, 3))
            loss = cross_entropy(head(pooled), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model
