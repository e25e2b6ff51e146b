"""How much memory a training takes, and what fits: predicted, measured, planned."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules={"cards", "measuring", "planning"}
)
