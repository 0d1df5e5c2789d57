"""Who answers: the ground truth, people through files, the model itself."""

from dense_al.oracles.base import Asking, Oracle, WaitingForAnswers
from dense_al.oracles.files import Files
from dense_al.oracles.ground_truth import GroundTruth
from dense_al.oracles.model import answers_of_model

__all__ = ['Asking', 'Files', 'GroundTruth', 'Oracle', 'WaitingForAnswers', 'answers_of_model']
