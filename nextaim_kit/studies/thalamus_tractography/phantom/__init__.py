"""A head whose tissue, fibers and connections are known at every point."""
