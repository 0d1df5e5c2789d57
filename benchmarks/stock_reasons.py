"""Why a stock config does not run here, in a few words for thousands of configs."""

import re
from typing import Any

PASSES = 'passes'
BROKEN = 'does not load'
UNBUILDABLE = 'the framework cannot build it'
WEIGHTS = 'weights missing'
OPERATORS = 'compiled operators missing'
PACKAGES = 'another package missing'
DATA = 'no tiny data set of its kind'
REFUSED = 'refused by name'
OTHER_TASK = 'not a task of ours'
LARGE = 'too large for this machine'
BUG = 'bug of ours'
REASONS = (
    PASSES, REFUSED, BUG, OTHER_TASK, OPERATORS, WEIGHTS, PACKAGES, UNBUILDABLE, BROKEN, LARGE,
    DATA,
)  # fmt: skip
OURS = (PASSES, REFUSED, BUG)  # what the framework itself can build here

# Words of an error -> reason; the first that fits counts.
SIGNS = (
    (OPERATORS, ('compiled operators', 'mmcv._ext', 'MultiScaleDeformableAttention')),
    (WEIGHTS, ('load_state_dict', 'huggingface', 'urlopen', 'URLError', 'ConnectionError',
               'checkpoint', 'a file of weights', 'Max retries', 'from_pretrained',
               'Name or service')),
    (PACKAGES, ('No module named', 'not installed', 'lease install', 'pip install',
                'is not in the mmpretrain', 'mmpretrain', 'timm')),
)  # fmt: skip
VIDEO = ('ByteTrack', 'DeepSORT', 'StrongSORT', 'QDTrack', 'OCSORT', 'SORT', 'MaskTrackRCNN',
         'Mask2FormerVideo')  # fmt: skip
MODELS = {
    **dict.fromkeys(VIDEO, 'video'),
    'BaseReID': 'identification of people',
    'AppearanceFreeLink': 'video',
    'SoftTeacher': 'semi-supervised, several branches',
    'GLIP': 'text',
    'GroundingDINO': 'text',
    'RPN': 'proposals without classes',
    'DepthEstimator': 'depth',
    'PanopticFPN': 'panoptic',
    'BertModel': 'text',
    'ImageClassifier': 'classification',
    'CLRNet': 'lanes',
    'MultimodalEncoderDecoder': 'text',
}
DATASETS = {
    'CocoPanopticDataset': 'panoptic',
    'ADE20KPanopticDataset': 'panoptic',
    'CocoCaptionDataset': 'text',
    'RefCocoDataset': 'text',
    'MDETRStyleRefCocoDataset': 'text',
    'Flickr30kDataset': 'text',
    'DODDataset': 'text',
    'ODVGDataset': 'text',
    'LEVIRCDDataset': 'changes between two images',
    'NYUDataset': 'depth',
    'ReIDDataset': 'identification of people',
    'MOTChallengeDataset': 'video',
    'YouTubeVISDataset': 'video',
    'CocoSegDataset': 'segmentation in mmdet',
    'ADE20KSegDataset': 'segmentation in mmdet',
}


def other_task(cfg: Any) -> str | None:
    """What a config is for, where that is no task of dense_al; None where it is one.

    Args:
        cfg: A stock config.
    """
    model = cfg.get('model') or {}
    name = _last(model.get('type'))
    if name in MODELS:
        return MODELS[name]
    if not model:
        return 'no model, a part of other configs'
    if not cfg.get('train_dataloader'):
        return 'no training'
    if not cfg.get('val_dataloader') or not cfg.get('val_evaluator'):
        return 'no evaluation'
    for part in types(cfg['train_dataloader'].get('dataset')):
        if part in DATASETS:
            return DATASETS[part]
    return None


def types(node: Any) -> list[str]:
    """Types of a data set and of those inside it."""
    if not isinstance(node, dict):
        return []
    parts = [node.get('dataset'), *(node.get('datasets') or ())]
    return [_last(node.get('type')), *(name for part in parts for name in types(part))]


def cause(error: BaseException) -> str:
    """The reason that lies in an error of the framework."""
    text = f'{type(error).__name__}: {error}'
    inner = error.__cause__ or error.__context__
    while inner is not None:
        text += f' {type(inner).__name__}: {inner}'
        inner = inner.__cause__ or inner.__context__
    for reason, words in SIGNS:
        if any(word in text for word in words):
            return reason
    return UNBUILDABLE


def brief(error: BaseException, most: int = 300) -> str:
    """An error in one line."""
    text = ' '.join(f'{type(error).__name__}: {error}'.split())
    return short(text, most)


def short(detail: str, most: int = 160) -> str:
    """A detail for a table: no folders of this machine, no column marks."""
    detail = re.sub(r', the current sys.path is.*', '', detail)
    text = re.sub(r'(/[\w.+-]+)+/([\w.+-]+)', r'\2', detail)
    return text.replace('|', '/')[:most]


def _last(name: Any) -> str:
    return str(name).rsplit('.', 1)[-1]
