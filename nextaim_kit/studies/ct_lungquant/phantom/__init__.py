"""The synthetic chest: its anatomy, its lesions, and the scanner that sees it."""
