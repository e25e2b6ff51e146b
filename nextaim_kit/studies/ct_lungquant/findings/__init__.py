"""LungQuant's report: its template, its checks, and whether a value survives the exports."""
