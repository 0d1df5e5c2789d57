"""Samples from files to what a model takes; what cannot be read is named."""

from collections.abc import Callable
from typing import Any


class UnreadableSampleError(ValueError):
    """A sample's file cannot be read; it is named, and nothing takes its place."""


def through_pipeline(
    pipeline: Callable[[Any], Any], info: Callable[[], Any], path: str, tries: int = 1
) -> Any:
    """What a pipeline makes of a sample, or an error that names it.

    mmengine would put another sample in the place of one that fails.

    Args:
        pipeline: The steps.
        info: Gives the record of the sample anew.
        path: Its file.
        tries: How often steps that draw at random may return nothing.

    Raises:
        UnreadableSampleError: A step failed, or all tries returned nothing.
    """
    for _ in range(tries):
        try:
            data = pipeline(info())
        except Exception as error:
            raise UnreadableSampleError(f'Could not load {path}: {error}') from error
        if data is not None:
            return data
    times = f' {tries} times' * (tries > 1)
    raise UnreadableSampleError(f'Could not load {path}: the pipeline returned nothing{times}')
