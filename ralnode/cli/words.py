"""Every word of the command line: its one-line summary and the panel it is listed in.

This table is all that `ralnode --help` needs, so that no command's module is imported to list it. The module of a word
is `ralnode.cli.commands.<word>` (a dash becomes an underscore; `import` is Python's, so that module is `import_`); its docstring begins with the same line (a test compares).
"""

from __future__ import annotations

from dataclasses import dataclass
from keyword import iskeyword
from typing import Final

FILES: Final = "Files"
CLUSTER: Final = "Cluster"
NODE: Final = "This machine"


@dataclass(frozen=True, slots=True)
class Word:
    name: str
    summary: str
    panel: str

    @property
    def module(self) -> str:
        name = self.name.replace("-", "_")
        return f"ralnode.cli.commands.{name}_" if iskeyword(name) else f"ralnode.cli.commands.{name}"


WORDS: Final = (
    Word("add", "Add files or folders to the cluster.", FILES),
    Word("get", "Fetch a file or folder from the cluster.", FILES),
    Word("cat", "Write a file, or a range of it, to standard output.", FILES),
    Word("ls", "List what the cluster keeps, or what a folder of it contains.", FILES),
    Word("rm", "Remove a source from the cluster, on every node.", FILES),
    Word("sources", "List the sources; write or import a sources.json.", FILES),
    Word("export", "Write a source, or all of them, as a CAR file.", FILES),
    Word("import", "Add what a CAR file contains.", FILES),
    Word("cid", "Print the CID of a file or folder; no node is needed.", FILES),
    Word("status", "Show whether everything is safe, and each node and source.", CLUSTER),
    Word("nodes", "List the nodes of the cluster.", CLUSTER),
    Word("plan", "Show which blocks this node wants and has, and why.", CLUSTER),
    Word("invite", "Print the join code for another machine.", CLUSTER),
    Word("join", "Join the cluster of a join code.", CLUSTER),
    Word("run", "Run a node in the foreground.", NODE),
    Word("stop", "Stop a node.", NODE),
    Word("drain", "Let the other nodes take over what a node has, before it goes for good.", NODE),
    Word("password", "Set the password of the status page.", NODE),
    Word("login-link", "Print a link that signs in to the status page once.", NODE),
    Word("token", "Make, list or remove tokens for programs that use the status page.", NODE),
    Word("capacity", "Show or change how much disk a node gives.", NODE),
    Word("verify", "Check every block on disk against its hash.", NODE),
    Word("leftovers", "Show, or delete, blocks of adds and pulls that were never finished.", NODE),
    Word("rebuild-index", "Make the index of the block store anew; the node must be stopped.", NODE),
    Word("backup", "Write down what of this node cannot be had again from the others.", NODE),
    Word("restore", "Make a lost node anew from its backup.", NODE),
    Word("plugins", "List the plugins found, and every refusal with its reason.", NODE),
    Word("doctor", "Examine this machine and its configuration; say what to mend.", NODE),
    Word("install", "Make this executable a service of this machine.", NODE),
    Word("uninstall", "Remove what `ralnode install` has put on this machine.", NODE),
    Word("demo", "Start a cluster on this machine, kill a node, prove that nothing is lost.", NODE),
    Word("version", "Print the versions of ralnode and of what it stands on.", NODE),
)

BY_NAME: Final = {word.name: word for word in WORDS}
