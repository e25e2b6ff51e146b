"""A U-Net that stands beside the generator."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nextaim_kit.studies.microscopy_superres.networks.esrgan import padded


class UNet(nn.Module):
    """A U-Net on the enlarged image, as CARE has it.

    It draws the image itself and not what is to be added to the enlarged one: of that, STORM has
    so little left that all of it would have to be learned away first. It enlarges by neighbors
    and convolutions, since transposed ones leave a checkerboard.

    Parameters
    ----------
    scale : int
    width : int
        Channels of its first level.
    channels : int

    References
    ----------
    Weigert et al. 2018, doi:10.1038/s41592-018-0216-7. The layers are MONAI's.
    """

    def __init__(self, scale: int = 4, width: int = 16, channels: int = 1) -> None:
        super().__init__()
        from monai.networks.nets import BasicUNet

        self.scale, self.channels = scale, channels
        self.settings = {"scale": scale, "width": width, "channels": channels}
        widths = (width, width, 2 * width, 4 * width, 4 * width, width)
        self.net = BasicUNet(
            2, channels, channels, widths, norm="batch", upsample="nontrainable"
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (n * self.scale for n in x.shape[-2:])
        enlarged = functional.interpolate(x, scale_factor=self.scale, mode="bicubic")
        return self.net(padded(enlarged, 16))[..., :rows, :columns]
