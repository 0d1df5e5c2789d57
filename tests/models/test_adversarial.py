"""The adversary and the segmentor against each other, by hand and in training."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from processes import launch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from dense_al.models.adversarial import Adversary, discriminator

SIZE = 40


@pytest.fixture(autouse=True, scope='module')
def scope():
    init_default_scope('mmseg')


@MODELS.register_module(force=True)
class OneConvolution(nn.Module):
    """A backbone of one layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images):
        return (self.layer(images),)


def segmentor(type_='AdversarialEncoderDecoder', loss=None, **more):
    torch.manual_seed(0)
    loss = loss or dict(type='CrossEntropyLoss', avg_non_ignore=True)
    head = dict(
        type='FCNHead', in_channels=4, channels=4, num_convs=0, concat_input=False, in_index=0,
        dropout_ratio=0.0, num_classes=3, loss_decode=loss, align_corners=False)  # fmt: skip
    preprocessor = dict(
        type='SegDataPreProcessor', mean=[0.0] * 3, std=[1.0] * 3, size=(SIZE, SIZE)
    )
    cfg = dict(
        type=type_, backbone=dict(type='OneConvolution'), decode_head=head,
        data_preprocessor=preprocessor, train_cfg=dict(), test_cfg=dict(mode='whole'))  # fmt: skip
    return MODELS.build({**cfg, **more})


def adversarial(adv_weight=0.5, channels=2, **more):
    discriminator = dict(channels=channels, **more)
    return segmentor(adv_weight=adv_weight, discriminator=discriminator).train()


def samples(*domains):
    """Images and labels, labelled at source alone."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for domain in domains:
        sample = SegDataSample(metainfo=dict(domain=domain, img_shape=(SIZE, SIZE)))
        label = torch.randint(0, 3, (1, SIZE, SIZE), generator=generator)
        label = label if domain == 'source' else torch.full_like(label, 255)
        sample.gt_sem_seg = PixelData(data=label)
        found.append(sample)
    return torch.randn(len(domains), 3, SIZE, SIZE, generator=generator), found


def test_shape_of_the_discriminator():
    network = discriminator(19)
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [64, 128, 256, 512, 1]
    assert {(layer.kernel_size, layer.stride, layer.padding) for layer in layers} == {
        ((4, 4), (2, 2), (1, 1))
    }
    assert [layer.negative_slope for layer in network[1::2]] == [0.2] * 4
    assert network(torch.zeros(2, 19, 64, 96)).shape == (2, 1, 2, 3)


def taught_by_hand(judge, probs, processes=1):
    """Half of the loss of the first image, a source, and of the others; the judge takes a step."""
    source, target = judge(probs[:1]), judge(probs[1:])
    adam = torch.optim.Adam(judge.parameters(), 2.5e-4, (0.9, 0.99))
    loss = bce(source, torch.zeros_like(source)) / 2 + bce(target, torch.ones_like(target)) / 2
    (loss / processes).backward()
    adam.step()
    return loss


def test_both_gradients_by_hand():
    model = adversarial()
    inputs, data = samples('source', 'target', 'target')
    judge = copy.deepcopy(model.adversary.network)

    probs = model._forward(inputs).softmax(1)  # the head's output has the size of the image
    logits = model._forward(inputs[:1])
    label = data[0].gt_sem_seg.data
    wanted = nn.functional.cross_entropy(logits, label)
    fooled = judge(probs[1:])
    wanted = wanted + 0.5 * bce(fooled, torch.zeros_like(fooled))
    weights = list(model.parameters())
    by_hand = torch.autograd.grad(wanted, weights)

    loss = taught_by_hand(judge, probs.detach())
    losses = model.loss(inputs, data)
    total, log = model.parse_losses(losses)
    # The discriminator is one step further by now, and its loss is no part of the segmentor's.
    total.backward()
    assert total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert log['discriminator'].item() == pytest.approx(loss.item(), rel=1e-5)
    for weight, gradient in zip(weights, by_hand):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-7)
    for found, moved in zip(model.adversary.network.parameters(), judge.parameters()):
        torch.testing.assert_close(found, moved, rtol=1e-5, atol=1e-7)
        assert found.grad is None


def two_domains():
    """Probabilities of smooth and of speckled images."""
    generator = torch.Generator().manual_seed(2)
    smooth = torch.randn(4, 3, 1, 1, generator=generator).expand(4, 3, 64, 64)
    return torch.cat([smooth, 3 * torch.randn(4, 3, 64, 64, generator=generator)]).softmax(1)


def test_it_learns_to_tell_two_domains():
    torch.manual_seed(0)
    adversary = Adversary(3, channels=4, lr=0.005)
    probs, target = two_domains(), torch.arange(8) >= 4
    losses = [adversary.learn(probs, target).item() for _ in range(60)]
    assert losses[0] > 0.5 and losses[-1] < 0.05
    assert ((adversary.network(probs).mean((1, 2, 3)) > 0) == target).all()
    assert adversary.confusion(probs[target]) > 10 * adversary.confusion(probs[~target])


def test_the_segmentor_comes_to_fool_it():
    model = adversarial(adv_weight=1.0)
    inputs, data = samples('source', 'target')
    for _ in range(20):
        model.adversary.learn(two_domains(), torch.arange(8) >= 4)
    before = model.eval().loss(inputs, data)['loss_adv']
    before.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight -= 0.5 * weight.grad
    assert model.loss(inputs, data)['loss_adv'] < before


def test_checkpoints_and_optimizers_do_not_hold_it():
    model, plain = adversarial(), segmentor('EncoderDecoder')
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in plain.named_parameters()]
    plain.load_state_dict(model.state_dict(), strict=True)


def test_without_weight_it_is_an_encoder_decoder():
    inputs, data = samples('source', 'source')
    plain = segmentor('EncoderDecoder').train().loss(inputs, data)
    model = segmentor(adv_weight=0.0).train()
    assert model.adversary is None
    for sample in data:
        sample.set_metainfo(dict(domain=None))  # nobody asks for it
    found = model.loss(inputs, data)
    assert list(found) == list(plain)
    assert all(torch.equal(found[k], plain[k]) for k in plain)


def test_the_same_segmentor_with_and_without():
    plain = segmentor('EncoderDecoder').state_dict()
    assert all(torch.equal(v, plain[k]) for k, v in adversarial().state_dict().items())
    inputs, data = samples('source', 'target')
    wanted = segmentor('EncoderDecoder').train().loss(inputs, data)
    found = adversarial().loss(inputs, data)
    assert set(found) - set(wanted) == {'loss_adv', 'discriminator'}
    assert all(torch.equal(found[k], wanted[k]) for k in wanted)


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_batches_of_one_domain(domain):
    model = adversarial()
    inputs, data = samples(domain, domain)
    judge = copy.deepcopy(model.adversary.network)
    verdict = judge(model._forward(inputs).softmax(1))
    losses = model.loss(inputs, data)
    half = bce(verdict, torch.full_like(verdict, float(domain == 'target'))) / 2
    assert losses['discriminator'].item() == pytest.approx(half.item(), rel=1e-5)
    assert (losses['loss_adv'] > 0) == (domain == 'target')
    if domain == 'target':
        assert losses['decode.loss_ce'] == 0
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())
    moved = zip(model.adversary.network.parameters(), judge.parameters())
    assert any(not torch.equal(a, b) for a, b in moved)


@pytest.mark.parametrize(
    'loss',
    [
        dict(type='CrossEntropyLoss', avg_non_ignore=True),
        dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0]),
    ],
)
def test_unlabelled_images_do_not_thin_out_the_labels(loss):
    inputs, data = samples('source', 'target', 'target')
    model = segmentor(loss=loss, adv_weight=0.1).train()
    alone = model.loss(inputs[:1], data[:1])['decode.loss_ce']
    assert model.loss(inputs, data)['decode.loss_ce'].item() == pytest.approx(alone.item())
    none = model.loss(inputs[1:], data[1:])['decode.loss_ce']
    assert none.item() == 0


def test_it_learns_in_training_alone():
    model = adversarial()
    before = copy.deepcopy(model.adversary.network.state_dict())
    batch = samples('source', 'target')
    with torch.no_grad():
        assert 'discriminator' not in model.loss(*batch)
    assert 'discriminator' not in model.eval().loss(*batch)
    after = model.adversary.network.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())


@pytest.mark.parametrize(
    'done, rate',
    [(75, 0.1 * 0.25**0.9), (0, 0.1 / 20), (9, 0.1 * 0.91**0.9 / 2), (19, 0.1 * 0.81**0.9),
     (99, 0.004)],
)  # fmt: skip
def test_the_rate_rises_and_falls_over_the_run(done, rate):
    from mmengine.logging import MessageHub

    hub = MessageHub.get_instance('adversarial_test')
    try:
        hub.update_info('iter', done)
        hub.update_info('max_iters', 100)
        adversary = Adversary(3, channels=2, lr=0.1, warmup=0.2, min_lr=0.004)
        adversary.learn(two_domains(), torch.arange(8) >= 4)
        assert adversary.optimizer.param_groups[0]['lr'] == pytest.approx(rate)
        plain = Adversary(3, channels=2, lr=0.1)
        plain.learn(two_domains(), torch.arange(8) >= 4)
        falling = 0.1 * (1 - done / 100) ** 0.9
        assert plain.optimizer.param_groups[0]['lr'] == pytest.approx(falling)
    finally:
        MessageHub._instance_dict.pop('adversarial_test')


def test_a_warm_up_in_iterations_is_refused():
    with pytest.raises(ValueError, match='`warmup`, a share of the run, .* but got 5000'):
        adversarial(warmup=5000)
    with pytest.raises(ValueError, match='`min_lr` of at least 0'):
        adversarial(min_lr=-1e-6)


def train(steps=4, **options):
    model = adversarial()
    wrapped = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1), **options)
    inputs, data = samples('source', 'target')
    batch = dict(inputs=list(inputs), data_samples=data)
    logs = [model.train_step(batch, wrapped) for _ in range(steps)]
    return model, logs


def test_training_repeats_itself():
    (one, logs), (other, _) = train(), train()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))
    judges = [m.adversary.network.parameters() for m in (one, other)]
    assert all(torch.equal(a, b) for a, b in zip(*judges))
    assert logs[-1]['loss'] < logs[0]['loss']


def test_with_accumulated_gradients_it_learns_from_every_batch():
    start = adversarial()
    half, _ = train(steps=3, accumulative_counts=4)
    assert all(torch.equal(a, b) for a, b in zip(half.parameters(), start.parameters()))
    judges = [m.adversary.network.parameters() for m in (half, start)]
    assert any(not torch.equal(a, b) for a, b in zip(*judges))


def test_mixed_precision_keeps_the_discriminator_whole():
    model, (inputs, data) = adversarial(), samples('source', 'target')
    wanted = adversarial().loss(inputs, data)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert model._forward(inputs).dtype == torch.bfloat16
        losses = model.loss(inputs, data)
    assert {losses[k].dtype for k in ('loss_adv', 'discriminator')} == {torch.float32}
    assert losses['loss_adv'].item() == pytest.approx(wanted['loss_adv'].item(), rel=1e-2)
    sum(losses[k] for k in ('decode.loss_ce', 'loss_adv')).backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


def test_what_it_refuses():
    with pytest.raises(ValueError, match='`adv_weight` of at least 0'):
        segmentor(adv_weight=-1.0)
    model, (inputs, data) = adversarial(), samples('source', 'target')
    with pytest.raises(ValueError, match='at least 32 pixels'):
        small = SegDataSample(metainfo=data[0].metainfo)
        small.gt_sem_seg = PixelData(data=torch.zeros(1, 16, 16, dtype=torch.long))
        model.loss(inputs[:1, :, :16, :16], [small])
    data[1].set_metainfo(dict(domain='train'))
    with pytest.raises(ValueError, match="`domain` .* but got 'train'"):
        model.loss(inputs, data)
    binary = dict(type='CrossEntropyLoss', use_sigmoid=True)
    head = dict(
        type='FCNHead', in_channels=4, channels=4, num_convs=0, concat_input=False, in_index=0,
        num_classes=2, out_channels=1, threshold=0.5, loss_decode=binary)  # fmt: skip
    with pytest.raises(ValueError, match='one output channel per class'):
        segmentor(decode_head=head)


PROCESS = """
import sys, torch
sys.path.insert(0, {folder!r})
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from dense_al.engine.distribution import processes
from test_adversarial import adversarial, samples
init_default_scope('mmseg')
with processes('pytorch'):
    rank = torch.distributed.get_rank()
    model = adversarial()
    if rank:
        for weight in model.adversary.network.parameters():
            weight.data.zero_()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    inputs, data = samples('source', 'target')
    batch = dict(inputs=[inputs[rank]], data_samples=[data[rank]])
    MMDistributedDataParallel(model).train_step(batch, wrapper)
    torch.save([model.state_dict(), model.adversary.network.state_dict()], {out!r} + str(rank))
"""


def test_processes_share_one_adversary(tmp_path):
    code = PROCESS.format(folder=str(Path(__file__).parent), out=str(tmp_path / 'rank'))
    assert launch(code, 2) == [0, 0]
    (one, judge), (other, other_judge) = (torch.load(tmp_path / f'rank{r}') for r in range(2))
    assert all(torch.equal(v, other[k]) for k, v in one.items())
    assert all(torch.equal(v, other_judge[k]) for k, v in judge.items())
    # Each process saw one domain: its part of the loss, averaged over both.
    wanted = adversarial()
    inputs, _ = samples('source', 'target')
    probs = wanted._forward(inputs).softmax(1).detach()
    taught_by_hand(wanted.adversary.network, probs, processes=2)
    for name, weight in wanted.adversary.network.state_dict().items():
        torch.testing.assert_close(judge[name], weight, rtol=1e-4, atol=5e-6)
