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
from dense_al.structures.boxes import Boxes, decode_boxes, encode_boxes, holds_boxes
from dense_al.structures.budget import Budget
from dense_al.structures.labels import Label, category_of, class_counts, encode, tags_of
from dense_al.structures.manifest import Manifest
from dense_al.structures.prediction import DetectionOptions, DetPrediction, SegPrediction
from dense_al.structures.rows import KINDS, WHOLE, ElementRows, Query
from dense_al.structures.tags import Tags, decode_tags, encode_tags, holds_tags

__all__ = [
    'ANSWERED',
    'DECLINED',
    'IGNORE',
    'KINDS',
    'Label',
    'Answer',
    'Boxes',
    'Budget',
    'DetPrediction',
    'DetectionOptions',
    'ElementRows',
    'Manifest',
    'Query',
    'SegPrediction',
    'Tags',
    'WHOLE',
    'answers_of_table',
    'answers_table',
    'category_of',
    'class_counts',
    'decode_boxes',
    'decode_labels',
    'decode_tags',
    'dominant_class',
    'encode',
    'encode_boxes',
    'encode_labels',
    'encode_tags',
    'holds_boxes',
    'holds_tags',
    'tags_of',
]
