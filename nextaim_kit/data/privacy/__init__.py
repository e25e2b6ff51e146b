"""Identity taken out of images, reports and tables, and looked for in what is left.

The remover (`deidentify` and what it stands on) and the audit share no table and no rule.
"""
