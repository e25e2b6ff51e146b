"""A panel of readers beside software: readings, agreement, consensus."""
