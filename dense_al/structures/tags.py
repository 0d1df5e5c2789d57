"""Tags of one image, the classes somewhere in it, and their payload."""

from dataclasses import dataclass

import numpy as np

MARK = b'T'


@dataclass(frozen=True, eq=False)
class Tags:
    """The classes present in one image; every other class is absent.

    Attributes:
        labels: (T,) int64 classes, ascending, each once.
    """

    labels: np.ndarray

    def __post_init__(self) -> None:
        labels = np.unique(np.asarray(self.labels, np.int64))
        if len(labels) and labels[0] < 0:
            raise ValueError(f'Expected classes from 0, but got {labels.tolist()}')
        object.__setattr__(self, 'labels', labels)

    def __len__(self) -> int:
        return len(self.labels)


def encode_tags(tags: Tags) -> bytes:
    """Packs tags: the mark, then little-endian int32 classes.

    >>> decode_tags(encode_tags(Tags([7, 2, 7]))).labels.tolist()
    [2, 7]
    """
    return MARK + tags.labels.astype('<i4').tobytes()


def decode_tags(payload: bytes) -> Tags:
    """Unpacks what `encode_tags` packed.

    Raises:
        ValueError: A payload of something else.
    """
    if not holds_tags(payload):
        raise ValueError('Expected a payload of tags, but got another one')
    return Tags(np.frombuffer(payload[1:], '<i4'))


def holds_tags(payload: bytes) -> bool:
    """Whether a payload holds tags."""
    return payload[:1] == MARK
