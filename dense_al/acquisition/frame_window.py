"""The neighbours of each frame of a sequence that is seen frame by frame."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar('T')


class FrameWindow(Generic[T]):
    """A ring buffer that gives each frame with its neighbours as soon as all of them are known.

    Half of the neighbours come before a frame and half after it, `stride` frames apart. Where a
    sequence begins or ends, those that are missing on one side are taken from the other; a
    sequence that is too short for that has fewer. Frames are given in their order. At most
    `(n_neighbours + 1) * stride` frames are held.

    Args:
        n_neighbours: Neighbours of each frame, >= 1; of an odd number one more comes after.
        stride: Frames from one neighbour to the next, >= 1.

    >>> window = FrameWindow(2, 1)
    >>> [window.add(frame) for frame in 'abcd']
    [[], [], [('a', ['b', 'c']), ('b', ['a', 'c'])], [('c', ['b', 'd'])]]
    >>> window.close()
    [('d', ['b', 'c'])]
    """

    def __init__(self, n_neighbours: int, stride: int) -> None:
        for name, value in (('n_neighbours', n_neighbours), ('stride', stride)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f'Expected `{name}` to be an integer of at least 1, but got {value!r}'
                )
        self._n, self._stride = n_neighbours, stride
        self._held: deque[T] = deque(maxlen=(n_neighbours + 1) * stride)
        self._seen = self._given = 0

    @property
    def reach(self) -> int:
        """Frames on either side that the neighbours of a frame may depend on."""
        return self._n * self._stride

    def add(self, frame: T) -> list[tuple[T, list[T]]]:
        """Takes in the next frame; returns the frames that are complete with it."""
        self._held.append(frame)
        self._seen += 1
        return self._complete(closed=False)

    def close(self) -> list[tuple[T, list[T]]]:
        """Ends the sequence; returns the frames that are left. The next frame begins another."""
        left = self._complete(closed=True)
        self._held.clear()
        self._seen = self._given = 0
        return left

    def _complete(self, closed: bool) -> list[tuple[T, list[T]]]:
        done = []
        while self._given < self._seen:
            neighbours = self._neighbours(self._given, closed)
            if neighbours is None:
                break
            done.append((self._frame(self._given), [self._frame(i) for i in neighbours]))
            self._given += 1
        return done

    def _neighbours(self, frame: int, closed: bool) -> list[int] | None:
        """Numbers of a frame's neighbours, ascending; None while some are still to come."""
        possible_before = frame // self._stride
        possible_after = (self._seen - 1 - frame) // self._stride
        wanted_after = self._n - min(self._n // 2, possible_before)
        if possible_after < wanted_after and not closed:
            return None
        after = min(wanted_after, possible_after)
        before = min(self._n - after, possible_before)
        return [frame + k * self._stride for k in range(-before, after + 1) if k]

    def _frame(self, number: int) -> T:
        return self._held[number - self._seen + len(self._held)]
