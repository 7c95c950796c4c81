# Sourced by deb-test and systemd-test: a Debian made by debootstrap once, and throw-away copies of it (overlay mounts).
# Usage: . packaging/debian/tree.sh; debian_tree; overlay_of NAME  (sets $root; call it in a mount namespace of its own)
cannot() { echo "skipped: $1" >&2; exit 77; }

debian_tree() {
    [ "$(id -u)" = 0 ] || cannot "a Debian tree needs root"
    command -v debootstrap >/dev/null || cannot "debootstrap is not here: apt-get install debootstrap"
    base=${RALNODE_TREE:-/var/tmp/ralnode-tree}
    if [ ! -e "$base/.whole" ]; then
        echo "making $base with debootstrap (once, about a minute) ..."
        rm -rf "$base"
        debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2 bookworm "$base" \
            "${RALNODE_DEBIAN_MIRROR:-http://deb.debian.org/debian}" >/dev/null || cannot "debootstrap failed"
        touch "$base/.whole"
    fi
    package=$(ls dist/ralnode_*.deb 2>/dev/null | tail -n 1)
    [ -n "$package" ] || cannot "no package: sh packaging/deb makes one"
}

overlay_of() { # FOLDER: everything written goes into memory; a folder that was one before goes on with what was written
    if [ ! -d "$1/up" ]; then
        mkdir -p "$1"
        mount -t tmpfs tmpfs "$1"
        mkdir "$1/up" "$1/work" "$1/root"
    fi
    mount -t overlay overlay -o "lowerdir=$base,upperdir=$1/up,workdir=$1/work" "$1/root"
    root=$1/root
}
