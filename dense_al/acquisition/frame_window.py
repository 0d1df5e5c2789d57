"""The neighbours of each frame of a sequence that is seen frame by frame."""

from typing import Generic, TypeVar

T = TypeVar('T')


class FrameWindow(Generic[T]):
    """Gives each frame with its neighbours as soon as all of them are known.

    Half of the neighbours come before a frame and half after it, `stride` frames apart. Where a
    sequence begins or ends, those that are missing on one side are taken from the other; a
    sequence that is too short for that has fewer. What counts is the number of a frame, not how
    many were seen: a frame that is missing in the middle is nobody's neighbour, nothing else is
    taken for it, and the next one that is there takes its turn. No neighbour is farther away than
    `n_neighbours * stride`. Frames are given in their order. At most `(n_neighbours + 1) * stride`
    frames are held, more only around such gaps.

    Args:
        n_neighbours: Neighbours of each frame, >= 1; of an odd number one more comes after.
        stride: Frames from one neighbour to the next, >= 1.

    >>> window = FrameWindow(2, 1)
    >>> [window.add(number, frame) for number, frame in enumerate('abcd')]
    [[], [], [('a', ['b', 'c']), ('b', ['a', 'c'])], [('c', ['b', 'd'])]]
    >>> window.add(9, 'j')
    [('d', ['b', 'c'])]
    >>> window.close()
    [('j', [])]
    """

    def __init__(self, n_neighbours: int, stride: int) -> None:
        for name, value in (('n_neighbours', n_neighbours), ('stride', stride)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f'Expected `{name}` to be an integer of at least 1, but got {value!r}'
                )
        self._n, self._stride = n_neighbours, stride
        self._held: dict[int, T] = {}
        self._waiting: list[int] = []

    @property
    def reach(self) -> int:
        """Frames on either side that the neighbours of a frame may depend on."""
        return self._n * self._stride

    def add(self, number: int, frame: T) -> list[tuple[T, list[T]]]:
        """Takes in the next frame; returns the frames that are complete with it.

        Args:
            number: Its number in the sequence.
            frame: What is held of it.

        Raises:
            ValueError: The number is not above that of the frame before.
        """
        last = next(reversed(self._held), None)
        if last is not None and number <= last:
            raise ValueError(f'Expected frames in ascending order, but got {number} after {last}')
        self._held[number] = frame
        self._waiting.append(number)
        done = self._complete(number)
        self._forget(number)
        return done

    def close(self) -> list[tuple[T, list[T]]]:
        """Ends the sequence; returns the frames that are left. The next frame begins another."""
        left = self._complete(None)
        self._held.clear()
        return left

    def _complete(self, last: int | None) -> list[tuple[T, list[T]]]:
        """The frames that wait for no others; `last` is the newest, None where none will come."""
        done = []
        while self._waiting:
            number = self._waiting[0]
            before, after = self._neighbours(number)
            to_come = last is not None and last < number + self.reach
            if to_come and len(after) < self._n - min(self._n // 2, len(self._there(number, -1))):
                break
            near = [self._held[i] for i in sorted([*before, *after])]
            done.append((self._held[number], near))
            del self._waiting[0]
        return done

    def _neighbours(self, number: int) -> tuple[list[int], list[int]]:
        """Numbers of a frame's neighbours before and after it, as far as they were seen."""
        before, after = self._there(number, -1), self._there(number, 1)
        after = after[: self._n - min(self._n // 2, len(before))]
        return before[: self._n - len(after)], after

    def _there(self, number: int, side: int) -> list[int]:
        """Numbers on one side of a frame, nearest first, that are held."""
        steps = (number + side * k * self._stride for k in range(1, self._n + 1))
        return [i for i in steps if i in self._held]

    def _forget(self, last: int) -> None:
        """Lets go of the frames that are neither waiting nor needed by others."""
        oldest = last + 1 - self.reach
        for number in self._waiting:
            oldest = min(oldest, number, *self._neighbours(number)[0])
        for number in [i for i in self._held if i < oldest]:
            del self._held[number]
