"""One package per study: only what that study needs."""
