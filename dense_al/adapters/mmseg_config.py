"""What mmseg models and metrics need so that they learn from partly labelled images."""

from typing import Any

from dense_al.adapters.surgery import dicts
from dense_al.registry import ConfigError, nearest, type_name

# These turn unlabelled pixels into negatives or need whole label maps.
REFUSED = {
    'MaskFormerHead': 'turns unlabelled pixels into negatives',
    'Mask2FormerHead': 'turns unlabelled pixels into negatives',
    'DiceLoss': 'counts unlabelled pixels in its denominator',
    'FocalLoss': 'averages over all pixels, also those without a label',
    'HuasdorffDisstanceLoss': 'takes the border of an answered region for an object border',
    'BoundaryLoss': 'takes the border of an answered region for an object border',
    'SilogLoss': 'is for depth',
}


def check_model(model: Any, partial: bool) -> None:
    """Refuses what cannot learn from partly labelled images, by name.

    Args:
        model: The model's config.
        partial: Whether images may be labelled in part.
    """
    for node in dicts(model):
        name = type_name(node)
        if partial and name in REFUSED:
            raise ConfigError(
                f'Expected a model that can ignore unlabelled pixels, but `{name}` '
                f'{REFUSED[name]}; '
                f"use whole images (`unit=dict(type='Image')`) or another head or loss"
            )


def partial_losses(model: Any, per_image: bool = False, partial: bool = True) -> None:
    """Makes every cross entropy average over labelled pixels only (in place).

    Where images are labelled in part, `EncHead` learns without its loss on which classes are in an
    image, for which all others would count as absent.

    Args:
        model: The model's config.
        per_image: Whether to average over each image first, so that each counts the same.
        partial: Whether images may be labelled in part.
    """
    for node in dicts(model):
        if partial and type_name(node) == 'EncHead':
            node['use_se_loss'] = False
        if node.get('type') in ('CrossEntropyLoss', 'mmseg.CrossEntropyLoss'):
            # With class weights mmseg averages over labelled pixels anyway, and fails if asked to.
            weighted = node.get('class_weight') is not None and not node.get('use_sigmoid')
            node['avg_non_ignore'] = not weighted
            if per_image:
                node['type'] = 'ImageCrossEntropyLoss'


# What mmseg's IoUMetric reports for each of its `iou_metrics`.
REPORTED = {
    'mIoU': ('mIoU', 'mAcc'),
    'mDice': ('mDice', 'mAcc'),
    'mFscore': ('mFscore', 'mPrecision', 'mRecall'),
}


def check_metric(evaluator: Any, metric: str) -> None:
    """Refuses a metric that the evaluator will not report, where that is known beforehand.

    Args:
        evaluator: `val_evaluator` of the config.
        metric: `rounds.metric`.
    """
    listed = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    if not listed or any(type_name(e) != 'IoUMetric' or e.get('prefix') for e in listed):
        return
    names = ['aAcc']
    for node in listed:
        for kind in node.get('iou_metrics', ['mIoU']):
            if kind not in tuple(REPORTED):
                raise ConfigError(
                    f'Unknown `val_evaluator.iou_metrics` {kind!r}. {nearest(str(kind), REPORTED)}'
                )
            names += REPORTED[kind]
    if metric not in names:
        raise ConfigError(f'Unknown `rounds.metric` {metric!r}. {nearest(metric, names)}')
