"""Who answers: the ground truth, people through files."""

from dense_al.oracles.base import Asking, Oracle, WaitingForAnswers
from dense_al.oracles.files import Files
from dense_al.oracles.ground_truth import GroundTruth

__all__ = ['Asking', 'Files', 'GroundTruth', 'Oracle', 'WaitingForAnswers']
