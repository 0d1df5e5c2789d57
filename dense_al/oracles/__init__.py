"""Who answers: the ground truth, people through files."""

from dense_al.oracles.base import Oracle, WaitingForAnswers
from dense_al.oracles.ground_truth import GroundTruth

__all__ = ['GroundTruth', 'Oracle', 'WaitingForAnswers']
