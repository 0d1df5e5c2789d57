"""Acquisitions: what to ask next. One file per family; the mathematics is in `functional`."""

from dense_al.acquisition.base import Acquisition, NothingLeftError, Selection, rng_for, take
from dense_al.acquisition.box_in_box import BoxInBox
from dense_al.acquisition.composed import Composed
from dense_al.acquisition.density_aware import DensityAware
from dense_al.acquisition.detection import BoxUncertainty, ImageCoreSet
from dense_al.acquisition.domain_classifier import DomainClassifier
from dense_al.acquisition.inter_frame import InterFrame
from dense_al.acquisition.masks import MaskUncertainty
from dense_al.acquisition.pixels import PixelUncertainty
from dense_al.acquisition.points import PointUncertainty
from dense_al.acquisition.region_samplers import (
    Badge,
    BoundaryQuota,
    ClassMixtures,
    Clue,
    DiversityAware,
)
from dense_al.acquisition.region_scores import RIPU, BestVersusSecondBest
from dense_al.acquisition.samplers import KCenter, KMeansPlusPlus, RandomOrder, TopK
from dense_al.acquisition.scan_scores import SegmentEntropy, SurfaceVariation
from dense_al.acquisition.tags import ClassBalancedRandom, ImageTags, WeakLoss

__all__ = [
    'Acquisition',
    'Badge',
    'BestVersusSecondBest',
    'BoundaryQuota',
    'BoxInBox',
    'BoxUncertainty',
    'ClassBalancedRandom',
    'ClassMixtures',
    'Clue',
    'Composed',
    'DensityAware',
    'DiversityAware',
    'DomainClassifier',
    'ImageCoreSet',
    'ImageTags',
    'InterFrame',
    'KCenter',
    'KMeansPlusPlus',
    'MaskUncertainty',
    'NothingLeftError',
    'PixelUncertainty',
    'PointUncertainty',
    'RIPU',
    'RandomOrder',
    'SegmentEntropy',
    'Selection',
    'SurfaceVariation',
    'TopK',
    'WeakLoss',
    'rng_for',
    'take',
]
