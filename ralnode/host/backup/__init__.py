"""What of a node cannot be had again from the others: its key, the cluster's secret, the catalogue, its configuration.

archive.py is the file, sealing.py its encryption, collecting.py makes it, restoring.py makes a node from it.
"""
