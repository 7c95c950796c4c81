"""IPFS formats, PURE: CIDs, dag-pb, UnixFS, CAR; building and walking DAGs. No IO, no clock, no dice in here.

Everything that reads takes bytes that a stranger may have written: sizes, counts and depths are bounded and every
fault is a `DagError`. Whoever needs blocks drives a generator (see walk.py), so that nothing in here waits.
"""
