"""Pickles read without running the code they may hold: arrays and built-in containers only."""

import pickle
from collections import OrderedDict
from typing import Any, BinaryIO

import numpy as np


class ProposalFileError(ValueError):
    """A file of proposals that cannot be used; it is named."""


class Record:
    """Stands for an mmengine `InstanceData`: its fields are attributes, and there is no code."""


def load_arrays(file: BinaryIO, name: str) -> Any:
    """Reads one pickle of numpy arrays, numbers, texts and built-in containers.

    Python's `pickle` runs whatever function a file names. Here a name other than the few that
    arrays need ends the reading, before anything is called. Files of Python 2 can be read.

    Args:
        file: Open for reading bytes, at the start of the pickle.
        name: What to call the file in messages.

    Raises:
        ProposalFileError: The file names something else, is cut off or is no pickle.
        EOFError: The file ends before the pickle begins.

    >>> import io
    >>> load_arrays(io.BytesIO(pickle.dumps({'a': [1, 2]})), 'x')
    {'a': [1, 2]}
    """
    start = file.tell()
    if not file.read(1):
        raise EOFError(name)
    file.seek(start)
    try:
        return _Unpickler(file, name).load()
    except ProposalFileError:
        raise
    except Exception as error:  # a damaged pickle raises what it likes
        raise ProposalFileError(
            f'Expected a whole pickle in {name}, but got {type(error).__name__}: {error}'
        ) from error


def _bytes(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does for the bytes in pickles of protocol 2."""
    return text.encode('latin1') if encoding in ('latin1', 'latin-1') else text.encode('ascii')


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> Any:
    """What numpy does for arrays in pickles of protocol 5."""
    array = np.frombuffer(buffer, dtype=dtype)
    if order == 'K' and axis_order is not None:
        return array.reshape(shape, order='C').transpose(axis_order)
    return array.reshape(shape, order=order)


_ARRAY = {
    '_reconstruct': np.empty(0).__reduce__()[0],
    'scalar': np.float32(0).__reduce__()[0],  # type: ignore[index]
}
_NUMERIC = {'_frombuffer': _from_buffer}
_BUILTINS = {t.__name__: t for t in (bytes, bytearray, complex, dict, frozenset, list, set, tuple)}
ALLOWED: dict[str, dict[str, Any]] = {
    'numpy': {'ndarray': np.ndarray, 'dtype': np.dtype},
    'numpy.core.multiarray': _ARRAY,
    'numpy._core.multiarray': _ARRAY,
    'numpy.core.numeric': _NUMERIC,
    'numpy._core.numeric': _NUMERIC,
    'builtins': _BUILTINS,
    '__builtin__': _BUILTINS,
    '_codecs': {'encode': _bytes},
    'collections': {'OrderedDict': OrderedDict},
    'mmengine.structures.instance_data': {'InstanceData': Record},
}


class _Unpickler(pickle.Unpickler):
    """Finds only what is in `ALLOWED`."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(file, encoding='latin1')
        self.name = name

    def find_class(self, module: str, name: str) -> Any:
        """The object a pickle asks for by name."""
        known = ALLOWED.get(module, {})
        if name not in known:
            raise ProposalFileError(
                f'Expected only numpy arrays and built-in containers in {self.name}, '
                f'but got `{module}.{name}`, which may be code to run'
            )
        return known[name]
