"""From the candidates of an mmdet model to the boxes an acquisition sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.functional import dropout

from dense_al.adapters.mmdet_readers import Candidates, Reader, reader_of
from dense_al.structures import DetectionOptions, DetPrediction, MaskOptions


def detections(
    model: Any, batch: Any, options: DetectionOptions, needs: frozenset[str] = frozenset()
) -> Iterator[DetPrediction]:
    """Predictions of the images of a batch, one by one.

    Args:
        model: An mmdet detector in evaluation mode.
        batch: As its data loader gives it; metainfo holds `sample`, and `tags` where known.
        options: Which boxes.
        needs: What else than boxes: `image_features`, `box_features`, `weak_loss`.
    """
    reader = reader_of(model)
    data = model.data_preprocessor(batch, False)
    features = model.extract_feat(data['inputs'])
    for i, sample in enumerate(data['data_samples']):
        levels = tuple(level[i : i + 1] for level in features)
        yield _detect(reader, levels, sample, options, needs)


def _detect(
    reader: Reader, levels: Any, sample: Any, options: DetectionOptions, needs: frozenset[str]
) -> DetPrediction:
    """The prediction of one image."""
    meta = sample.metainfo
    fixed = reader.fixed(levels, sample)
    found = reader.candidates(levels, fixed, meta)
    scale = found.boxes.new_tensor(meta.get('scale_factor', (1.0, 1.0))).repeat(2)
    keep, labels = suppressed(found, options)
    boxes, probs, background, scores = _ranked(found, keep, labels, options)
    passes, box_passes = [], []
    for k in range(options.passes):
        with stochastic(reader.last, options, (int(meta['sample']), k)):
            again = reader.candidates(levels, fixed, meta)
        passes.append(again.probs[keep])
        box_passes.append(_ranked(again, keep, labels, options)[0])
    return DetPrediction(
        sample=int(meta['sample']),
        boxes=_numpy(boxes / scale),
        probs=_numpy(probs),
        background=_numpy(background),
        scores=_numpy(scores),
        labels=labels.cpu().numpy(),
        passes=_numpy(torch.stack(passes)) if passes else None,
        box_passes=_numpy(torch.stack(box_passes) / scale) if passes else None,
        tags=np.array(meta['tags'], np.int64) if 'tags' in meta else None,
        **_extras(reader, levels, fixed, meta, boxes, scale, options, needs),
    )


def _extras(
    reader: Reader,
    levels: Any,
    fixed: Any,
    meta: dict[str, Any],
    boxes: torch.Tensor,
    scale: torch.Tensor,
    options: DetectionOptions,
    needs: frozenset[str],
) -> dict[str, Any]:
    """What only some acquisitions need of an image."""
    extras: dict[str, Any] = {}
    if 'image_features' in needs:
        extras['image_features'] = _numpy(reader.image_features(levels))
    if 'box_features' in needs:
        extras['box_features'] = _numpy(reader.box_features(levels, boxes))
        remembered = options.remembered.get(int(meta['sample']))
        if remembered is not None:
            there = boxes.new_tensor(remembered) * scale
            extras['remembered'] = _numpy(reader.box_features(levels, there))
    if 'weak_loss' in needs and 'tags' in meta:
        tags = torch.as_tensor(meta['tags'], dtype=torch.long, device=boxes.device)
        extras['weak_loss'] = reader.weak_loss(levels, fixed, tags)
    return extras


def suppressed(found: Candidates, options: DetectionOptions) -> tuple[torch.Tensor, torch.Tensor]:
    """Candidates above the threshold that no better one of their class suppresses, best first.

    Returns:
        (K,) int64 candidates and (K,) int64 the class each is ranked for.
    """
    from mmcv.ops import batched_nms

    rows, labels = _eligible(found, options)
    boxes, _, _, scores = _ranked(found, rows, labels, options)
    order = scores.argsort(descending=True, stable=True)[: options.nms_pre]
    order = order[(boxes[order, 2:] > boxes[order, :2]).all(1)]
    rows, labels = rows[order], labels[order]
    if len(rows) == 0:
        return rows, labels
    nms = {'type': 'nms', 'iou_threshold': options.nms_iou}
    _, kept = batched_nms(boxes[order], scores[order], labels, nms)
    kept = kept[: options.max_boxes]
    return rows[kept], labels[kept]


def _eligible(found: Candidates, options: DetectionOptions) -> tuple[torch.Tensor, torch.Tensor]:
    """Candidates above the threshold, and what each counts as; several times with a `pair_thr`."""
    rows = (found.scores >= options.score_thr).nonzero()[:, 0]
    if options.pair_thr is None:
        return rows, found.probs[rows].argmax(1)
    row, label = (found.probs[rows] > options.pair_thr).nonzero().T
    return rows[row], label


def _factor(found: Candidates) -> torch.Tensor:
    """(N, 1) what turns a class probability into the score of the class."""
    return (found.scores / found.probs.amax(1).clamp(min=1e-12))[:, None]


def _ranked(
    found: Candidates, rows: torch.Tensor, labels: torch.Tensor, options: DetectionOptions
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes, probabilities, background and scores of candidates, each for one class."""
    boxes, probs, scores = found.boxes[rows], found.probs[rows], found.scores[rows]
    if options.pair_thr is not None:
        if found.class_boxes is not None:
            boxes = found.class_boxes[rows, labels]
        scores = probs[torch.arange(len(rows)), labels] * _factor(found)[rows, 0]
    return boxes, probs, found.background[rows], scores


@contextmanager
def stochastic(
    layers: list[Any], options: DetectionOptions | MaskOptions, stream: tuple[int, int]
) -> Iterator[None]:
    """Dropout in front of layers, drawn from a stream of its own.

    Args:
        layers: The last layers of a head.
        options: Probability and seed.
        stream: Sample and pass.
    """
    seed = np.random.SeedSequence([options.seed, *stream]).generate_state(1, np.uint64)[0]

    def before(module: Any, inputs: Any) -> Any:
        return (dropout(inputs[0], options.dropout, training=True), *inputs[1:])

    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(seed) % 2**63)
            yield
    finally:
        for handle in handles:
            handle.remove()


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
