"""Maps of what a network looks at: whether they are true, and whether they reveal a shortcut."""
