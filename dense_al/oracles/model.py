"""The model as an oracle: its own predictions as labels for a round (pseudo-labels)."""

from collections.abc import Iterable

from dense_al.pool import UnitPixels, Units
from dense_al.structures import (
    ANSWERED,
    MODEL,
    Answer,
    Pixels,
    Query,
    SegPrediction,
)


def answers_of_model(
    query: Query, predictions: Iterable[SegPrediction], units: Units, expires_round: int
) -> list[Answer]:
    """The most probable class of every pixel or point of the units, at no cost.

    Args:
        query: Regions.
        predictions: Of the samples of the query, each once, in any order.
        units: The units that the query refers to.
        expires_round: Last round that trains on them.

    Returns:
        One answer per unit, in the order of the query.
    """
    said: dict[int, Pixels] = {}
    for prediction in predictions:
        pixels = UnitPixels(units.map(prediction.sample))
        labels = prediction.labels.ravel()
        for row in query.by_sample[prediction.sample].tolist():
            said[row] = Pixels(labels[pixels[int(query.unit[row])]])
    return [
        Answer(
            sample=int(query.sample[row]),
            instance=-1,
            unit=int(query.unit[row]),
            kind=query.kind,
            status=ANSWERED,
            source=MODEL,
            elements=int(query.size[row]),
            category=said[row].category,
            clicks=0.0,
            seconds=0.0,
            expires_round=expires_round,
            payload=said[row].encode(),
        )
        for row in range(len(query))
    ]
