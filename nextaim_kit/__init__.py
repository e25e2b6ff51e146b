"""nextaim_kit: notebooks as functions for AI studies in medical imaging."""

from nextaim_kit.errors import DataError, KernelDied, KitError, RequestError, RunError

__version__ = "0.1.0"

__all__ = ["DataError", "KernelDied", "KitError", "RequestError", "RunError", "__version__"]
