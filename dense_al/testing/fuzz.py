"""Whether mistakes in configs end in an error that a user understands."""

import contextlib
import copy
import io
import logging
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dense_al.config import DICTS, apply_sandbox
from dense_al.engine.build import CONFIGS
from dense_al.engine.main import MISTAKE, main
from dense_al.registry import ConfigError
from dense_al.testing.mutations import Mutation

ERROR, RUN, SILENT, UNCLEAR, TRACEBACK = (
    'clear error',
    'correct run',
    'silent',
    'unclear error',
    'traceback',
)
OUTCOMES = (ERROR, RUN, SILENT, UNCLEAR, TRACEBACK)
FAILURES = (SILENT, UNCLEAR, TRACEBACK)
HOUSE = ('Expected', 'Unknown', 'Could not', 'In `')  # how messages of this package begin
# These ask about things whose number nobody knows before, or at most so many of a sample.
BOUNDED = ('PixelUncertainty', 'PointUncertainty', 'MaskUncertainty')
LIMIT = 60  # seconds; a dry run of a tiny config takes a tenth of one


@dataclass(frozen=True)
class Outcome:
    """How the dry run of a config ended.

    Attributes:
        kind: One of `OUTCOMES`.
        message: What the user was told; of a traceback its end.
    """

    kind: str
    message: str

    @property
    def failed(self) -> bool:
        """Whether a user would be left alone with it."""
        return self.kind in FAILURES


def dry_run(cfg: dict[str, Any], path: Path, work_dir: Path) -> tuple[int | None, str]:
    """Dry-runs a config, and looks at it as `--sandbox` does, in this process.

    Args:
        cfg: The config as plain data.
        path: The same as a file.
        work_dir: Of the run; nothing is written.

    Returns:
        The exit code, None after an exception that the command line does not catch; and what was
        said.
    """
    try:
        with _said() as lines, _at_most(LIMIT):
            code = main([str(path), '--work-dir', str(work_dir), '--dry-run'])
            if all(isinstance(cfg.get(key), dict) for key in DICTS):
                with contextlib.suppress(ConfigError):
                    apply_sandbox(Config(copy.deepcopy(cfg)), CONFIGS)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if 'dense_al' in frame.filename] or list(where)
        at = f'{Path(ours[-1].filename).name}:{ours[-1].lineno}'
        return None, f'{type(error).__name__} at {at}: {error}'
    return code, '\n'.join(lines)


def judge(mutation: Mutation, cfg: dict[str, Any], code: int | None, message: str) -> Outcome:
    """What to think of how a config with a mistake ended.

    Args:
        mutation: The mistake.
        cfg: The config with it.
        code: Exit code, None after an exception.
        message: What was said.
    """
    if code is None:
        return Outcome(TRACEBACK, message)
    if code == 0:
        return Outcome(SILENT if _must_be_noticed(mutation, cfg) else RUN, message)
    clear = code == MISTAKE and _is_clear(mutation, message)
    return Outcome(ERROR if clear else UNCLEAR, message)


def _must_be_noticed(mutation: Mutation, cfg: dict[str, Any]) -> bool:
    """Whether no correct run can follow from a mistake."""
    kind, place, after = mutation.kind, mutation.place, mutation.after
    if kind == 'missing file':
        return True
    if kind == 'misspelt':
        later = place[:2] == ('rounds', 'later')
        # What a model does with its predictions is not looked at before it makes some.
        built = place[0] == 'model' and place[-1] == 'type' and 'test_cfg' not in place
        return mutation.ours or later or built
    if kind == 'budget':
        return not (after.get('per_round') == 10**12 and _unknown(mutation, cfg)) and (
            after != dict(unit='per_object')
        )
    if kind == 'wrong type' and mutation.ours:
        nothing = after is None or after == {}
        return not nothing and mutation.before is not None and not _may_be(mutation)
    return False


def _unknown(mutation: Mutation, cfg: dict[str, Any]) -> bool:
    """Whether nobody can say beforehand that a budget is too large."""
    given = cfg['rounds'].get('initial') or {}
    own = mutation.place == ('budget',)
    acquisition = cfg['acquisition'] if own else given.get('acquisition', {})
    if own and cfg['rounds'].get('count') == 1:
        return True  # it is never spent
    # What the labels of an image cost depends on its objects.
    by_object = cfg.get('default_scope') == 'mmdet'
    priced = mutation.after.get('unit') in ('clicks', 'seconds')
    return acquisition.get('type') in BOUNDED or (by_object and priced)


def _may_be(mutation: Mutation) -> bool:
    """Whether a value of another type is a right one all the same."""
    place, after = mutation.place, mutation.after
    number = type(after) in (int, float)
    if place == ('rounds', 'iterations'):
        return type(after) is int and after > 0
    if place[-1] == 'weight' and 'score' in place:
        return number
    return False


def _is_clear(mutation: Mutation, message: str) -> bool:
    """Whether a message says what is wrong where."""
    text = message.split(': ', 1)[-1]
    if not text.startswith(HOUSE):
        return False
    if mutation.kind == 'misspelt' and mutation.ours and isinstance(mutation.before, str):
        return mutation.after in text and f'`{mutation.before}`' in text
    words = [str(key) for key in mutation.place if isinstance(key, str)]
    if isinstance(mutation.after, dict):
        words += [str(key) for key in mutation.after]
    return any(word in text for word in words)


@contextlib.contextmanager
def _said() -> Iterator[list[str]]:
    """What is logged as an error meanwhile; what is printed is dropped."""
    lines: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger('dense_al')
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield lines
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raises `TimeoutError` where it takes longer."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f'more than {seconds} s')

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
