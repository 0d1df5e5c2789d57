"""The segmentor of scans: batches, losses, predictions per point, and that it learns."""

import math

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope

from dense_al.datasets.voxels import Voxelize
from dense_al.models.scan_segmentor import ScanPreprocessor, ScanSegmentor, voxel_loss
from dense_al.ops import sparse
from dense_al.testing.scans import toy_scan

pytestmark = pytest.mark.usefixtures('one_thread')
TINY = (8, 8, 8, 8, 8)


def scan(n=600, seed=0, **more):
    points, labels = toy_scan(n, np.random.default_rng(seed))
    return Voxelize(0.5)({'points': points, 'labels': labels, 'sample': seed, **more})


def segmentor(channels=TINY, backend='torch', seed=0, **more):
    torch.manual_seed(seed)
    backbone = dict(type='SparseUNet', channels=channels, backend=backend)
    return MODELS.build(dict(type='ScanSegmentor', backbone=backbone, num_classes=2, **more))


def batch(model, scans, training=False):
    return model.data_preprocessor(scans, training)['inputs']


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    """Two threads of two processes on two cores are ten times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_batches():
    scans = [scan(seed=0), scan(400, seed=1)]
    made = ScanPreprocessor()(scans, training=False)
    inputs, others = made['inputs'], made['data_samples']
    counts = tuple(len(s['coords']) for s in scans)
    assert inputs.counts == counts
    assert inputs.indices.dtype == torch.int32 and inputs.indices.is_contiguous()
    assert inputs.indices[:, 0].tolist() == [0] * counts[0] + [1] * counts[1]
    for key, values in (('coords', inputs.indices[:, 1:]), ('feats', inputs.features)):
        assert np.array_equal(values.numpy(), np.concatenate([s[key] for s in scans]))
    assert inputs.labels.dtype == torch.int64
    assert inputs.labels.tolist() == [*scans[0]['labels'], *scans[1]['labels']]
    assert [i.tolist() for i in inputs.inverse] == [s['inverse'].tolist() for s in scans]
    assert others == [{'sample': 0}, {'sample': 1}]


def test_batches_of_a_loader_and_of_tensors_are_the_same():
    scans = [scan(seed=0), scan(400, seed=1)]
    as_tensors = [
        {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in s.items()}
        for s in scans
    ]
    expected = ScanPreprocessor()(scans)['inputs']
    for data in (pseudo_collate(scans), as_tensors, pseudo_collate(as_tensors)):
        found = ScanPreprocessor()(data)['inputs']
        assert found.counts == expected.counts
        for key in ('features', 'indices', 'labels'):
            assert torch.equal(getattr(found, key), getattr(expected, key))


def test_what_a_scan_lacks_is_filled_in():
    first, second = scan(seed=0), scan(400, seed=1)
    second['labels'] = None
    del second['inverse']
    inputs = ScanPreprocessor()([first, second], training=True)['inputs']
    own = inputs.indices[:, 0] == 1
    assert (inputs.labels[own] == 255).all() and (inputs.labels[~own] != 255).any()
    assert inputs.inverse == ()
    second['labels'] = first['labels'] = None
    assert ScanPreprocessor()([first, second], training=True)['inputs'].labels is None


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: [], 'at least one scan'),
        (lambda s: [{k: v for k, v in s.items() if k != 'inverse'}], 'inverse'),
        (lambda s: [{**s, 'feats': s['feats'][1:]}], '`feats` of the'),
        (lambda s: [{**s, 'labels': s['labels'][1:]}], '`labels` of the'),
        (lambda s: [{**s, 'coords': s['coords'][:, :2]}], r'`coords` \(M, 3\)'),
        (lambda s: {'coords': [s['coords']] * 2, 'feats': [s['feats']]}, 'same scans'),
    ],
)
def test_bad_batches(change, message):
    with pytest.raises(ValueError, match=message):
        ScanPreprocessor()(change(scan()))


def test_loss_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0], [5.0, 0.0]], requires_grad=True)
    labels = torch.tensor([1, 0, 255])
    first, second = math.log(4 / 3), math.log(2)
    assert voxel_loss(logits, labels).item() == pytest.approx((first + second) / 2)
    weighted = voxel_loss(logits, labels, torch.tensor([3.0, 1.0])).item()
    assert weighted == pytest.approx((first + 3 * second) / 4)
    voxel_loss(logits, labels).backward()
    assert logits.grad[2].tolist() == [0, 0] and logits.grad[:2].abs().min() > 0


@pytest.mark.parametrize('class_weight', [None, [1.0, 2.0], [0.0, 1.0]])
def test_nothing_labelled_is_no_loss(class_weight):
    model = segmentor(class_weight=class_weight)
    unlabelled = scan()
    unlabelled['labels'] = np.full_like(unlabelled['labels'], 255)
    losses = model(batch(model, [unlabelled], training=True), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_only_classes_of_no_weight_are_no_loss():
    loss = voxel_loss(torch.randn(3, 2), torch.zeros(3).long(), torch.tensor([0.0, 1.0]))
    assert loss.item() == 0


def test_training_needs_labels():
    model, unlabelled = segmentor(), scan()
    unlabelled['labels'] = None
    with pytest.raises(ValueError, match='labels'):
        model(batch(model, [unlabelled], training=True), mode='loss')


def test_predictions_are_of_points():
    model, scans = segmentor().eval(), [scan(seed=0), scan(400, seed=1)]
    results = model.test_step(scans)
    logits = model(batch(model, scans), mode='tensor')
    n = len(scans[0]['coords'])
    assert [len(r['probs']) for r in results] == [600, 400]
    for result, given, own in zip(results, scans, (logits[:n], logits[n:])):
        assert result['probs'].dtype == torch.float32 and 'features' not in result
        expected = own.softmax(1)[torch.from_numpy(given['inverse'])]
        torch.testing.assert_close(result['probs'], expected)
        assert result['sample'] == given['sample']
    assert not results[0]['probs'].requires_grad


def test_features_give_the_probabilities_through_the_last_layer():
    model, scans = segmentor().eval(), [scan(seed=0), scan(400, seed=1)]
    for result in model.predict(batch(model, scans), features=True):
        again = model.classifier(result['features']).softmax(1)
        torch.testing.assert_close(again, result['probs'])


def test_what_cannot_be_predicted():
    model = segmentor().eval()
    with pytest.raises(ValueError, match='`inverse` of 1 scans'):
        model.predict(batch(model, [scan()], training=True))
    with pytest.raises(ValueError, match='Did you mean `predict`'):
        model(batch(model, [scan()]), mode='predictt')
    with pytest.raises(ValueError, match='2 class weights'):
        segmentor(class_weight=[1.0])


def test_an_empty_scan_beside_others():
    model = segmentor().eval()
    empty = Voxelize(0.5)({'points': np.zeros((0, 4), np.float32)})
    results = model.test_step([scan(), empty])
    assert results[1]['probs'].shape == (0, 2) and results[0]['probs'].isfinite().all()


def test_dropout_in_training_only():
    model, given = segmentor(dropout_ratio=0.5), [scan()]
    inputs = batch(model, given)
    model.eval()
    assert torch.equal(model(inputs), model(inputs))
    model.dropout.train()
    assert not torch.equal(model(inputs), model(inputs))


@pytest.mark.parametrize('scope', ['mmengine', 'dense_al'])
def test_from_a_config_in_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(segmentor(), ScanSegmentor)


def test_weights_of_classes_are_no_part_of_a_checkpoint():
    plain, weighted = segmentor(), segmentor(class_weight=[1.0, 2.0])
    assert [*plain.state_dict()] == [*weighted.state_dict()]


def trained(backend, iterations, channels=(16, 16, 32, 32, 32, 16, 16)):
    model = segmentor(channels, backend)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    wrapper = OptimWrapper(optimizer)
    scans = [scan(3000, seed=seed) for seed in range(4)]
    model.train()
    losses = []
    for step in range(iterations):
        pair = [scans[2 * step % 4], scans[2 * step % 4 + 1]]
        losses.append(float(model.train_step(pair, wrapper)['loss']))
    return model.eval(), losses


@pytest.mark.parametrize('backend', sparse.available())
def test_it_learns_boxes_from_ground(backend):
    model, losses = trained(backend, 60)
    points, labels = toy_scan(3000, np.random.default_rng(99))
    (result,) = model.test_step([Voxelize(0.5)({'points': points})])
    accuracy = (result['probs'].argmax(1).numpy() == labels).mean()
    assert losses[-1] < 0.5 * losses[0]
    assert accuracy > 0.95


def test_training_repeats_to_the_bit():
    one, other = (trained('torch', 3, TINY) for _ in range(2))
    assert one[1] == other[1]
    states = one[0].state_dict(), other[0].state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
