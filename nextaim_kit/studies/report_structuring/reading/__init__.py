"""Reports of one's own: tables, folders and texts read right, told apart, covered, or refused."""
