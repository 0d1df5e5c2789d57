"""Which form a label has: of a payload, and of the answer to a question."""

from dense_al.structures.boxes import Boxes, Instances
from dense_al.structures.label import Label
from dense_al.structures.masks import Inside, Mask
from dense_al.structures.pixels import Pixels
from dense_al.structures.tags import Tags

LABELS: tuple[type[Label], ...] = (Pixels, Boxes, Instances, Tags, Mask, Inside)
OF_MARK = {cls.mark: cls for cls in LABELS}

# Form of a task's labels -> kind of unit -> what its answer is.
ANSWERS: dict[str, dict[str, type[Label]]] = {
    'pixels': {'image': Pixels, 'region': Pixels, 'point': Pixels, 'tags': Tags},
    'boxes': {'image': Boxes, 'tags': Tags},
    'masks': {'image': Instances, 'instance': Mask, 'point': Inside, 'tags': Tags},
}


def decode(payload: bytes) -> Label | None:
    """The label of a payload, whatever its form; None of a declined unit.

    >>> decode(Inside(True).encode())
    Inside(value=True)
    >>> decode(b'') is None
    True

    Raises:
        ValueError: A payload of no form that is known.
    """
    if not payload:
        return None
    if payload[:1] not in OF_MARK:
        raise ValueError(f'Expected a payload of a label, but it begins with {payload[:1]!r}')
    return OF_MARK[payload[:1]].decode(payload)


def answer_type(kind: str, form: str) -> type[Label]:
    """What the answer about a unit is.

    Args:
        kind: Kind of the unit.
        form: What a label of a whole sample is, `pixels`, `boxes` or `masks`.

    Raises:
        ValueError: Labels of this form have no such units.
    """
    if kind not in ANSWERS[form]:
        raise ValueError(f'Expected units of {sorted(ANSWERS[form])} for {form}, but got {kind!r}')
    return ANSWERS[form][kind]
