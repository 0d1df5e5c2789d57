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
from dense_al.structures.labels import Label, category_of, class_counts, encode
from dense_al.structures.manifest import Manifest
from dense_al.structures.prediction import DetectionOptions, DetPrediction, SegPrediction
from dense_al.structures.rows import KINDS, ElementRows, Query

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
    'answers_of_table',
    'answers_table',
    'category_of',
    'class_counts',
    'decode_boxes',
    'decode_labels',
    'dominant_class',
    'encode',
    'encode_boxes',
    'encode_labels',
    'holds_boxes',
]
