"""Deterministic steps done once: `cached` and `lazy`, and `CachedItems` for training."""

from nextaim_kit.data.cache.step import cached, lazy

__all__ = ["cached", "lazy"]
