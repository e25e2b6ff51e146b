"""nextaim_kit: notebooks as functions for AI studies in medical imaging."""

import os

from nextaim_kit.errors import DataError, KernelDied, KitError, RequestError, RunError

__version__ = "0.1.0"

__all__ = ["DataError", "KernelDied", "KitError", "RequestError", "RunError", "__version__"]

# Before torch reads it. Threads that spin while they wait take a shared core from those they wait
# for: beside one busy neighbor a small network trains up to 40 times more slowly.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
