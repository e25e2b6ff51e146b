"""Networks that draw STORM: ESRGAN's two, a U-Net, features to compare, and a file to keep them."""

from .esrgan import Block, Dense, Discriminator, Generator, interpolated, receptive_radius
from .features import Features
from .saved import SavedNetworks, load_saved, save_networks
from .unet import UNet

__all__ = [
    "Block", "Dense", "Discriminator", "Features", "Generator", "SavedNetworks", "UNet",
    "interpolated", "load_saved", "receptive_radius", "save_networks",
]  # fmt: skip
