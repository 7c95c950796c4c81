"""`python -m ralnode`."""

from ralnode.cli.main import entry

if __name__ == "__main__":
    entry()
