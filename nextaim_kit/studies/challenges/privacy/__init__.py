"""Who is in the training set: attacks on models, tables and generators, and what helps."""
