"""The loop and its run on disk."""

from dense_al.adapters.task import Rounds, Task, TrainJob, TrainResult
from dense_al.engine.learner import Learner
from dense_al.engine.store import INITIAL, RunLockedError, RunStore

__all__ = [
    'INITIAL',
    'Learner',
    'Rounds',
    'RunLockedError',
    'RunStore',
    'Task',
    'TrainJob',
    'TrainResult',
]
