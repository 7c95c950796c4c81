"""The one error tree. Each class carries the exit code that the systemd unit knows (sysexits.h).

A message says what was being done, to which thing, what was found, what to do, and whether anything
was changed. `PeerError` is somebody else's fault and never ends the node; `LocalError` is ours.
"""


class RalnodeError(Exception):
    """Base of every error a user may see as one line."""

    exit_code = 1


class UsageError(RalnodeError):
    """The command line or a request is wrong; nothing was changed."""

    exit_code = 64


class NotFoundError(RalnodeError):
    """A source, block, node or path does not exist in this cluster."""

    exit_code = 66


class UnavailableError(RalnodeError):
    """Something needed cannot be reached now (no node running, no live holder); trying later may work."""

    exit_code = 69


class LocalError(RalnodeError):
    """This machine's disk or network failed us."""

    exit_code = 74


class StorageError(LocalError):
    """The block store cannot do what was asked."""


class StorageFullError(StorageError):
    """The quota or the free-disk floor forbids it. Nothing was stored. A state, not a crash."""


class RefusedError(RalnodeError):
    """Understood, but not allowed (rights, safety rule); nothing was changed."""

    exit_code = 77


class ConfigError(RalnodeError):
    """The configuration is wrong; restarting does not help."""

    exit_code = 78


class PluginError(ConfigError):
    """A plugin cannot be loaded, chosen or built."""


class PeerError(RalnodeError):
    """A peer sent bad bytes, broke the protocol or went away. Closes the request, is counted."""

    exit_code = 69


class BadBlockError(PeerError):
    """Bytes do not hash to the CID they were sent as. Never stored, never served."""
