"""`ralnode install` and `uninstall`: from the file that was tried to the service that stays, without a package manager."""
