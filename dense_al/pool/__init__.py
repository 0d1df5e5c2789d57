"""What is labelled, what it cost, and the one door to labels."""

from dense_al.pool.answers import AnswerStore, UnitPixels, Units, WholeImages
from dense_al.pool.boxes import BoxStore
from dense_al.pool.costs import (
    DEFAULT_PRICES,
    EXPECTED_OBJECTS,
    Price,
    Prices,
    counts_objects,
    price_kind,
)
from dense_al.pool.instances import InstanceStore
from dense_al.pool.ledger import Ledger, Totals, totals
from dense_al.pool.tags import TagStore
from dense_al.pool.views import views

__all__ = [
    'DEFAULT_PRICES',
    'EXPECTED_OBJECTS',
    'AnswerStore',
    'BoxStore',
    'InstanceStore',
    'Ledger',
    'Price',
    'Prices',
    'TagStore',
    'Totals',
    'UnitPixels',
    'Units',
    'WholeImages',
    'counts_objects',
    'price_kind',
    'totals',
    'views',
]
