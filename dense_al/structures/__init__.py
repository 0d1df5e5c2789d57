"""The data that flows through a round: frozen, shape-checked."""

from dense_al.structures.answers import (
    ANSWERED,
    DECLINED,
    MODEL,
    Answer,
    answers_of_table,
    answers_table,
)
from dense_al.structures.boxes import INSIDE, OUTSIDE, UNSURE, Boxes, Instances
from dense_al.structures.budget import Budget
from dense_al.structures.forms import LABELS, answer_type, decode
from dense_al.structures.label import Label
from dense_al.structures.manifest import Manifest
from dense_al.structures.masks import Inside, Mask
from dense_al.structures.pixels import IGNORE, Pixels
from dense_al.structures.prediction import (
    DetectionOptions,
    DetPrediction,
    InstancePrediction,
    MaskOptions,
    ScanOptions,
    SegPrediction,
)
from dense_al.structures.rows import KINDS, WHOLE, ElementRows, Query, by_sample
from dense_al.structures.tags import Tags

__all__ = [
    'ANSWERED',
    'DECLINED',
    'IGNORE',
    'INSIDE',
    'KINDS',
    'LABELS',
    'MODEL',
    'OUTSIDE',
    'UNSURE',
    'WHOLE',
    'Answer',
    'Boxes',
    'Budget',
    'DetPrediction',
    'DetectionOptions',
    'ElementRows',
    'Inside',
    'InstancePrediction',
    'Instances',
    'Label',
    'Manifest',
    'Mask',
    'MaskOptions',
    'Pixels',
    'Query',
    'ScanOptions',
    'SegPrediction',
    'Tags',
    'answer_type',
    'answers_of_table',
    'answers_table',
    'by_sample',
    'decode',
]
