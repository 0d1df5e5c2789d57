"""Boxes that may hold objects: made, read and written for detectors trained from tags."""

from dense_al.proposals.convert import fit_proposals, wetectron_to_mmdet
from dense_al.proposals.formats import (
    Proposals,
    read_mmdet,
    read_wetectron,
    write_mmdet,
)
from dense_al.proposals.listing import ListedImage, list_images
from dense_al.proposals.making import make_proposals
from dense_al.proposals.overlaps import box_iou, recall
from dense_al.proposals.safe_pickle import ProposalFileError
from dense_al.proposals.selective import ProposalSpec, propose_boxes

__all__ = [
    'ListedImage',
    'ProposalFileError',
    'ProposalSpec',
    'Proposals',
    'box_iou',
    'fit_proposals',
    'list_images',
    'make_proposals',
    'propose_boxes',
    'read_mmdet',
    'read_wetectron',
    'recall',
    'wetectron_to_mmdet',
    'write_mmdet',
]
