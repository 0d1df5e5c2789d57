"""The data that flows through a round: frozen, shape-checked."""

from dense_al.structures.answers import (
    ANSWERED,
    DECLINED,
    IGNORE,
    Answer,
    answers_of_table,
    answers_table,
    decode_labels,
    dominant_class,
    encode_labels,
)
from dense_al.structures.boxes import (
    INSIDE,
    OUTSIDE,
    UNSURE,
    Boxes,
    Instances,
    decode_boxes,
    encode_boxes,
    holds_boxes,
)
from dense_al.structures.budget import Budget
from dense_al.structures.labels import Label, category_of, class_counts, encode, tags_of
from dense_al.structures.manifest import Manifest
from dense_al.structures.masks import (
    Inside,
    Mask,
    decode_inside,
    decode_mask,
    encode_inside,
    encode_mask,
    holds_inside,
    holds_mask,
)
from dense_al.structures.prediction import (
    DetectionOptions,
    DetPrediction,
    InstancePrediction,
    MaskOptions,
    SegPrediction,
)
from dense_al.structures.rows import KINDS, WHOLE, ElementRows, Query
from dense_al.structures.tags import Tags, decode_tags, encode_tags, holds_tags

__all__ = [
    'ANSWERED',
    'DECLINED',
    'IGNORE',
    'INSIDE',
    'KINDS',
    'OUTSIDE',
    'UNSURE',
    'Label',
    'Answer',
    'Boxes',
    'Budget',
    'DetPrediction',
    'DetectionOptions',
    'ElementRows',
    'Inside',
    'InstancePrediction',
    'Instances',
    'Manifest',
    'Mask',
    'MaskOptions',
    'Query',
    'SegPrediction',
    'Tags',
    'WHOLE',
    'answers_of_table',
    'answers_table',
    'category_of',
    'class_counts',
    'decode_boxes',
    'decode_inside',
    'decode_labels',
    'decode_mask',
    'decode_tags',
    'dominant_class',
    'encode',
    'encode_boxes',
    'encode_inside',
    'encode_labels',
    'encode_mask',
    'encode_tags',
    'holds_boxes',
    'holds_inside',
    'holds_mask',
    'holds_tags',
    'tags_of',
]
