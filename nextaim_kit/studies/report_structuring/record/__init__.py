"""To the record: evidence of each value, reports with codes, exports, and damage to them."""
