"""Learning from not so big data: splits, selection, harmonization, training, metrics, explanation.

What notebooks use of it is importable from here, and loaded when it is used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
