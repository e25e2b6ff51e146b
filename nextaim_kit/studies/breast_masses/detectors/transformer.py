"""A detector with a transformer, by `transformers`: RT-DETR from a configuration, no download.

It looks once for a fixed number of masses, each of which is matched with one true mass or none:
no grid, no anchors, and nothing to be suppressed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nextaim_kit.studies.breast_masses.detectors.yolo import Size

# Width and decoder layers. "s" is RT-DETR's smallest published one, with a ResNet18.
_SIZES: dict[Size, tuple[int, int]] = {"n": (32, 2), "s": (64, 3), "m": (64, 6)}


class RTDetr(nn.Module):
    """RT-DETR with a residual backbone of 18 layers, from scratch.

    Parameters
    ----------
    size : {"n", "s", "m"}
    queries : int
        Masses that it looks for at once.

    Notes
    -----
    Pictures have the shape (n, 3, h, w), edges that 32 divides. The answer has the shape (n,
    layers, queries, 5): of the encoder and of each decoder layer a logit and the box's center,
    width and height as shares of the picture.

    References
    ----------
    Zhao et al. 2024, arXiv:2304.08069.
    """

    finest = "detector.model.encoder_input_proj.0"  # the layer of the finest features

    def __init__(self, size: Size = "n", queries: int = 100) -> None:
        super().__init__()
        from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

        width, layers = _SIZES[size]
        stages = [width * k for k in (1, 2, 4, 8)]
        backbone = RTDetrResNetConfig(
            embedding_size=width, hidden_sizes=stages, depths=[2] * 4, layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )  # fmt: skip
        self.config: Any = RTDetrConfig(
            backbone_config=backbone, encoder_in_channels=stages[1:], num_labels=1,
            encoder_hidden_dim=4 * width, d_model=4 * width, encoder_ffn_dim=16 * width,
            decoder_ffn_dim=16 * width, decoder_in_channels=[4 * width] * 3, decoder_layers=layers,
            decoder_attention_heads=4, encoder_attention_heads=4, num_queries=queries,
            num_denoising=0, freeze_backbone_batch_norms=False,
        )  # fmt: skip
        self.detector = RTDetrForObjectDetection(self.config)

    def forward(self, pictures: Tensor) -> Tensor:
        found = self.detector.model(pictures)
        first = torch.cat([found.enc_topk_logits, found.enc_topk_bboxes], -1)
        later = torch.cat([found.intermediate_logits, found.intermediate_reference_points], -1)
        return torch.cat([first[:, None], later], 1)

    def decode(self, output: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Boxes in pixels, shape (n, queries, 4), and scores, (n, queries), of the last layer."""
        told = output[:, -1].float()
        edges = told.new_tensor([shape[1], shape[0]])
        middle, half = told[..., 1:3] * edges, told[..., 3:] * edges / 2
        return torch.cat([middle - half, middle + half], -1), told[..., 0].sigmoid()


class SetLoss(nn.Module):
    """Each mass is matched with one answer: `transformers`' own loss, its three parts by name.

    Parameters
    ----------
    config : RTDetrConfig
    shape : (int, int)
        Height and width of the pictures.
    """

    def __init__(self, config: Any, shape: tuple[int, int]) -> None:
        super().__init__()
        from transformers.loss.loss_rt_detr import RTDetrLoss

        self.criterion, self.shape = RTDetrLoss(config), shape

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Varifocal, L1 and GIoU losses, summed over the layers; targets as for YOLO."""
        layers = [
            {"logits": one[..., :1], "pred_boxes": one[..., 1:]} for one in output.float().unbind(1)
        ]
        found = self.criterion(
            {**layers[-1], "auxiliary_outputs": layers[:-1]}, self._labels(target)
        )
        kinds = {"class": "loss_vfl", "distance": "loss_bbox", "box": "loss_giou"}
        return {
            name: torch.stack([v for key, v in found.items() if key.startswith(kind)]).sum()
            for name, kind in kinds.items()
        }

    def _labels(self, target: Tensor) -> list[dict[str, Tensor]]:
        edges = target.new_tensor([self.shape[1], self.shape[0]])
        low, high = target[..., 1:3] / edges, target[..., 3:] / edges
        boxes = torch.cat([(low + high) / 2, high - low], -1)
        return [
            {"class_labels": kind[kind >= 0].long(), "boxes": box[kind >= 0]}
            for kind, box in zip(target[..., 0], boxes, strict=True)
        ]
