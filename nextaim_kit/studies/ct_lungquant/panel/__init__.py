"""A panel of readers beside a software: readings, agreement, consensus."""
