"""What can be wrong with the bytes of a DAG. All of it is a ValueError: the bytes are at fault, nobody else."""


class DagError(ValueError):
    """The bytes are not what their format, or the node that links to them, says."""


class MissingBlockError(DagError):
    """The walk cannot go on without the block `key`, and it was not handed in."""

    def __init__(self, key: bytes) -> None:
        super().__init__(f"block {key.hex()} is missing")
        self.key = key


class PathError(DagError):
    """A path does not lead anywhere in this DAG."""
