"""What the exercises of the CT notebooks expect, one module a notebook."""
