"""Losses of segmentation that look at no values, so that the memory of a training can be planned.

MONAI's do the same, but check their target's values on the way, which a dry run
(`memory.dry_run`) does not have.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


class SegmentationLoss(nn.Module):
    """One minus the soft Dice coefficient, and cross-entropy if asked for.

    After Milletari et al. 2016, doi:10.1109/3DV.2016.79, without squares; with cross-entropy as in
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.

    Parameters
    ----------
    cross_entropy : bool
        Add it.
    """

    def __init__(self, *, cross_entropy: bool = True) -> None:
        super().__init__()
        self.cross_entropy = cross_entropy

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits, shape (n, c, ...), and labels, shape (n, 1, ...).

        With one channel the target is 0 or 1; with more it is the channel's number, and the first
        channel, the background, has no Dice.
        """
        if logits.shape[1] == 1:
            loss = _dice(logits.sigmoid(), target)
            extra = binary_cross_entropy_with_logits
            return loss + extra(logits, target) if self.cross_entropy else loss
        labels = target[:, 0].long()
        parts = torch.cat([target == k for k in range(1, logits.shape[1])], 1)
        loss = _dice(logits.softmax(1)[:, 1:], parts.to(logits.dtype))
        return loss + cross_entropy(logits, labels) if self.cross_entropy else loss


def _dice(share: Tensor, target: Tensor) -> Tensor:
    """One minus the mean over channels, each over the whole batch: few items have every class.

    So the loss of a batch is not the mean of its items' losses, and accumulation is not exact.
    """
    axes = (0, *range(2, share.ndim))
    overlap, sizes = (share * target).sum(axes), share.sum(axes) + target.sum(axes)
    return 1 - torch.mean((2 * overlap + 1) / (sizes + 1))
