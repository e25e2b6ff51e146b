"""What the exercises of the study's notebooks expect, one module per notebook."""
