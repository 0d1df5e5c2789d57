"""A segmentor whose outputs on two domains are made alike by a discriminator.

Single-level adaptation of the output space (Tsai et al., Learning to Adapt Structured Output Space
for Semantic Segmentation, CVPR 2018), the warm-up of D2ADA (Wu et al., ECCV 2022).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast, get_world_size
from mmengine.logging import MessageHub
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

SOURCE, TARGET = 0.0, 1.0  # what the discriminator is taught
DOMAINS = ('source', 'target')
LEAST_SIZE = 32  # five convolutions of stride 2


def discriminator(num_classes: int, channels: int = 64) -> nn.Sequential:
    """Tells from class probabilities which domain an image is of, patch by patch.

    It maps (B, C, H, W) float32, H and W at least 32, to (B, 1, H // 32, W // 32) logits of
    `target`.

    Args:
        num_classes: C.
        channels: Width of the first of the five convolutions; it doubles up to the fourth.
    """
    widths = [num_classes, channels, 2 * channels, 4 * channels, 8 * channels, 1]
    layers: list[nn.Module] = []
    for before, after in zip(widths[:-1], widths[1:]):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class Adversary:
    """A discriminator that learns by itself beside a segmentor, and is no part of it.

    It is no `nn.Module`, so that neither checkpoints nor optimizers of the segmentor see it. With
    several processes its gradients are averaged over them.

    Args:
        num_classes: Channels of the probabilities it sees.
        channels: See `discriminator`.
        lr: Learning rate of Adam. It falls as (1 - iteration / iterations) ** power over the run
            that mmengine is in the middle of, and stays outside of one.
        betas: Of Adam.
        power: How it falls.
        warmup: First share of the run over which the rate also rises from 0, evenly.
        min_lr: It falls no lower.

    Raises:
        ValueError: `warmup` outside of [0, 1], or a negative `min_lr`.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 64,
        lr: float = 2.5e-4,
        betas: Sequence[float] = (0.9, 0.99),
        power: float = 0.9,
        warmup: float = 0.0,
        min_lr: float = 0.0,
    ) -> None:
        if not 0 <= warmup <= 1:
            raise ValueError(f'Expected `warmup`, a share of the run, in [0, 1], but got {warmup}')
        if not min_lr >= 0:
            raise ValueError(f'Expected `min_lr` of at least 0, but got {min_lr}')
        # The segmentor's own draws stay what they are without an adversary.
        with torch.random.fork_rng(devices=[]):
            self.network = discriminator(num_classes, channels)
        self.lr, self.power, self.warmup, self.min_lr = lr, power, warmup, min_lr
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr, (betas[0], betas[1]))
        self._device: torch.device | None = None

    def to(self, device: torch.device) -> None:
        """Moves to a device; the first time, all processes take the weights of the first one."""
        if self._device == device:
            return
        self.network.to(device)
        if self._device is None:
            for parameter in self.network.parameters():
                broadcast(parameter.data)
        self._device = device

    def confusion(self, probs: Tensor) -> Tensor:
        """() how far target images are from being taken for source images, >= 0.

        Its gradient reaches `probs` alone. The weights are those of now, also if the discriminator
        learns before the gradient is asked for.

        Args:
            probs: (B, C, H, W) float32 of target images, B >= 1.
        """
        weights = {k: v.detach().clone() for k, v in self.network.named_parameters()}
        return _cross_entropy(functional_call(self.network, weights, (probs,)), SOURCE)

    def learn(self, probs: Tensor, target: Tensor) -> Tensor:
        """One step of the discriminator.

        Args:
            probs: (B, C, H, W) float32; no gradient reaches them.
            target: (B,) bool, which images are of the target; all or none may be.

        Returns:
            () loss, half of each domain's.
        """
        probs, loss = probs.detach(), probs.new_zeros(())
        for images, domain in ((probs[~target], SOURCE), (probs[target], TARGET)):
            if len(images):
                loss = loss + _cross_entropy(self.network(images), domain) / 2
        parameters = list(self.network.parameters())
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, _averaged(gradients)):
            parameter.grad = gradient
        for group in self.optimizer.param_groups:
            group['lr'] = self._rate()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def _rate(self) -> float:
        """The learning rate of now."""
        hub = MessageHub.get_current_instance()
        done, total = hub.get_info('iter'), hub.get_info('max_iters')
        if done is None or not total:
            return self.lr
        risen = min(1.0, (done + 1) / max(1.0, self.warmup * total))
        return risen * max(self.lr * max(0.0, 1 - done / total) ** self.power, self.min_lr)


@MODELS.register_module()
class AdversarialEncoderDecoder(EncoderDecoder):
    """mmseg's EncoderDecoder that also learns to be alike on two domains.

    Each image's metainfo tells its `domain`, `source` or `target`; a batch may hold one of them
    only. Target images need no labels: pixels of 255 teach nothing, given a loss that averages over
    labelled pixels (`avg_non_ignore=True`).

    The discriminator learns inside `loss`, in training mode only. So it does under mmengine's
    distributed wrapper, which leaves out a model's own `train_step`. It works with mixed precision
    (the discriminator stays in float32) and with accumulated gradients (the discriminator takes one
    step per batch all the same). Checkpoints do not hold it: a run that is resumed begins with a
    new one.

    Args:
        adv_weight: Weight of fooling the discriminator, >= 0. With 0 there is none, and this is an
            EncoderDecoder.
        discriminator: Arguments of `Adversary` but for `num_classes`.
        **kwargs: Of EncoderDecoder.

    Raises:
        ValueError: A negative weight, one output channel, or a decode head with a loss of its own.
    """

    def __init__(
        self,
        *,
        adv_weight: float = 5e-4,
        discriminator: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if adv_weight < 0:
            raise ValueError(f'Expected `adv_weight` of at least 0, but got {adv_weight!r}')
        self.adv_weight = adv_weight
        self.adversary: Adversary | None = None
        if adv_weight == 0:
            return
        if self.out_channels < 2:
            raise ValueError('Expected a decode head with one output channel per class, but got 1')
        if type(self.decode_head).loss is not BaseDecodeHead.loss:
            raise ValueError(
                f'Expected a decode head whose loss is of its logits alone, but '
                f'`{type(self.decode_head).__name__}` has a way of its own'
            )
        self.adversary = Adversary(self.out_channels, **(discriminator or {}))

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of a batch, and one step of the discriminator.

        Args:
            inputs: (B, 3, H, W) float32.
            data_samples: Per image its labels and `domain`.

        Returns:
            Those of EncoderDecoder, `loss_adv` and, for the log alone, `discriminator`.
        """
        if self.adversary is None:
            return super().loss(inputs, data_samples)
        target = torch.tensor([_is_target(s) for s in data_samples], device=inputs.device)
        x = self.extract_feat(inputs)
        logits = self.decode_head.forward(x)
        losses = add_prefix(self.decode_head.loss_by_feat(logits, data_samples), 'decode')
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(x, data_samples))
        size = (inputs.shape[2], inputs.shape[3])
        losses.update(self._domain_losses(self.adversary, logits, size, target))
        return losses

    def _domain_losses(
        self, adversary: Adversary, logits: Tensor, size: tuple[int, int], target: Tensor
    ) -> dict[str, Tensor]:
        """`loss_adv` of the target images; then the discriminator learns from all."""
        if min(size) < LEAST_SIZE:
            raise ValueError(f'Expected images of at least {LEAST_SIZE} pixels, but got {size}')
        adversary.to(logits.device)
        with torch.autocast(logits.device.type, enabled=False):
            given = resize(
                logits.float(), size=size, mode='bilinear', align_corners=self.align_corners
            )
            probs = given.softmax(1)
            adversarial = probs.new_zeros(())
            if target.any():
                adversarial = self.adv_weight * adversary.confusion(probs[target])
            losses = {'loss_adv': adversarial}
            if self.training and torch.is_grad_enabled():
                losses['discriminator'] = adversary.learn(probs, target)
        return losses


def _is_target(sample: Any) -> bool:
    """Whether an image is of the target domain."""
    domain = sample.metainfo.get('domain')
    if domain not in DOMAINS:
        raise ValueError(
            f'Expected `domain` in the metainfo of each image to be one of {DOMAINS}, '
            f'but got {domain!r}'
        )
    return domain == 'target'


def _cross_entropy(logits: Tensor, domain: float) -> Tensor:
    """() mean over all patches."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))


def _averaged(gradients: Sequence[Tensor]) -> Sequence[Tensor]:
    """Gradients, averaged over all processes."""
    if get_world_size() == 1:
        return gradients
    flat = torch.cat([g.flatten() for g in gradients])
    all_reduce(flat, 'mean')
    parts = flat.split([g.numel() for g in gradients])
    return [part.view_as(g) for part, g in zip(parts, gradients)]
