"""What image tags teach a detector: WSDDN's image scores and MIST's pseudo-boxes.

Bilen and Vedaldi, Weakly Supervised Deep Detection Networks, CVPR 2016; Tang et al., Multiple
Instance Detection Network with Online Instance Classifier Refinement, CVPR 2017; Ren et al.,
Instance-aware, Context-focused, and Memory-efficient Weakly Supervised Object Detection (MIST),
CVPR 2020.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from dense_al.ops.nms import overlaps

_TINY = 1e-6


class Targets(NamedTuple):
    """What the proposals of one image are taught.

    Attributes:
        labels: (R,) int64 class, C for background.
        boxes: (R, 4) float32 box each one should become; meaningless for background.
        weights: (R,) float32 how much each one counts.
    """

    labels: Tensor
    boxes: Tensor
    weights: Tensor


def wsddn_scores(class_logits: Tensor, proposal_logits: Tensor) -> Tensor:
    """(R, C): softmax over classes times softmax over the proposals of one image.

    Args:
        class_logits: (R, C) float.
        proposal_logits: (R, C) float.
    """
    return class_logits.softmax(1) * proposal_logits.softmax(0)


def image_loss(scores: Tensor, tags: Tensor) -> Tensor:
    """Binary cross-entropy of the image's class scores, mean over the classes.

    Args:
        scores: (R, C) of `wsddn_scores`.
        tags: (T,) int64 classes in the image.
    """
    present = scores.new_zeros(scores.shape[1])
    present[tags] = 1.0
    return binary_cross_entropy(scores.sum(0).clamp(_TINY, 1 - _TINY), present)


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes x1 y1 x2 y2; 0 for empty ones."""
    return overlaps(a, b).nan_to_num_(0)


def pseudo_boxes(
    boxes: Tensor, scores: Tensor, tags: Tensor, share: float = 0.15, iou: float = 0.2
) -> tuple[Tensor, Tensor]:
    """The proposals that stand for the objects of the tagged classes (MIST, algorithm 1).

    Of each tagged class the best `share` of the proposals are candidates; a candidate is kept if it
    overlaps every better candidate, kept or not, by less than `iou`.

    Args:
        boxes: (R, 4) float32 proposals, R >= 1.
        scores: (R, C) of each proposal and class.
        tags: (T,) int64.
        share: In (0, 1].
        iou: In (0, 1].

    Returns:
        (P,) int64 proposals and (P,) int64 their classes, class by class, best first.
    """
    count = max(1, int(share * len(boxes)))
    kept, classes = [], []
    for tag in tags.tolist():
        order = scores[:, tag].argsort(descending=True, stable=True)[:count]
        better = box_iou(boxes[order], boxes[order]).tril(-1)
        own = order[better.amax(1) < iou]
        kept.append(own)
        classes.append(torch.full_like(own, tag))
    if not kept:
        return tags.new_zeros(0), tags.new_zeros(0)
    return torch.cat(kept), torch.cat(classes)


def weak_targets(boxes: Tensor, scores: Tensor, tags: Tensor, share: float, iou: float) -> Targets:
    """What the proposals of an image learn from tags and the scores of the head before.

    Each proposal follows the pseudo-box it overlaps most and counts as much as that one scores;
    below an overlap of 0.5 it is background. Where there are no tags there is no pseudo-box either,
    and no proposal counts: that no class is there the loss of the image's scores says already.

    Args:
        boxes: (R, 4) float32 proposals.
        scores: (R, >= C) of each proposal and class, without gradient.
        tags: (T,) int64.
        share: See `pseudo_boxes`.
        iou: See `pseudo_boxes`.

    Returns:
        Targets with -1 for background.
    """
    seeds, classes = pseudo_boxes(boxes, scores, tags, share, iou)
    if len(seeds) == 0:
        none = torch.full((len(boxes),), -1, dtype=torch.long, device=boxes.device)
        return Targets(none, boxes, boxes.new_zeros(len(boxes)))
    overlap, owner = box_iou(boxes, boxes[seeds]).max(1)
    labels = torch.where(overlap >= 0.5, classes[owner], -1)
    return Targets(labels, boxes[seeds][owner], scores[seeds, classes][owner])


def full_targets(
    boxes: Tensor,
    gt_boxes: Tensor,
    gt_labels: Tensor,
    scores: Tensor,
    count: int = 512,
    share: float = 0.25,
) -> tuple[Tensor, Targets]:
    """What proposals of a fully labelled image learn: Fast R-CNN with hard negatives.

    At an overlap of 0.5 or more with an object a proposal is that object, below 0.3 background,
    between them ignored.

    Args:
        boxes: (R, 4) float32 proposals.
        gt_boxes: (G, 4) float32 objects.
        gt_labels: (G,) int64.
        scores: (R,) highest foreground probability; background with the highest is taken first.
        count: Proposals to take.
        share: Share of objects among them, at most.

    Returns:
        (S,) int64 proposals taken and their targets, with -1 for background.
    """
    if len(gt_boxes):
        overlap, owner = box_iou(boxes, gt_boxes).max(1)
    else:
        overlap, owner = boxes.new_zeros(len(boxes)), gt_labels.new_zeros(len(boxes))
    positive = (overlap >= 0.5).nonzero()[:, 0]
    most = int(share * count)
    if len(positive) > most:
        positive = positive[torch.randperm(len(positive), device=boxes.device)[:most]]
    negative = (overlap < 0.3).nonzero()[:, 0]
    hard = scores[negative].argsort(descending=True, stable=True)[: count - len(positive)]
    taken = torch.cat([positive, negative[hard]])
    background = torch.full_like(negative[hard], -1)
    if len(gt_boxes) == 0:
        return taken, Targets(background, boxes[taken], boxes.new_ones(len(taken)))
    labels = torch.cat([gt_labels[owner[positive]], background])
    return taken, Targets(labels, gt_boxes[owner[taken]], boxes.new_ones(len(taken)))
