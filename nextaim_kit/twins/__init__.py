"""What synthetic patients of all studies share."""
