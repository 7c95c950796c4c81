"""What /metrics shows: one table of all names (table.py), and the parts that measure. Nothing here knows the text format."""
