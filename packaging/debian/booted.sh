# Sourced by systemd-test: boots machines, runs commands on them, and says what holds.
# Usage: . packaging/debian/tree.sh; debian_tree; . packaging/debian/booted.sh
machines=
groups="memory pids cpu systemd unified"
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || groups=.

leave() {
    for pid in $machines; do kill -9 "$pid" 2>/dev/null || true; done
    for pid in $machines; do gone "$pid" || true; done
    for folder in /sys/fs/cgroup/*/ralnode-test-$$-* /sys/fs/cgroup/ralnode-test-$$-*; do
        [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    for folder in "$place"/*/; do umount -l "$folder" 2>/dev/null || true; done
    rm -rf "$place"
}
gone() { # PID: whether it has ended within 10 s
    for _ in $(seq 50); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.2
    done
    return 1
}

# Control groups have the number of this run in their names: one that an earlier run left behind still has its address filters.
boot() { # NAME; the pid of its systemd in $booted. A name that was booted before boots with what it had written
    if [ ! -d "$place/$1/up" ]; then # kept here, outside the machine's own namespace, to outlive it
        mkdir -p "$place/$1"
        mount -t tmpfs tmpfs "$place/$1"
        mkdir "$place/$1/up" "$place/$1/work" "$place/$1/root"
    fi
    for group in $groups; do [ ! -d "/sys/fs/cgroup/$group" ] || mkdir -p "/sys/fs/cgroup/$group/ralnode-test-$$-$1"; done
    (
        for group in $groups; do
            [ ! -d "/sys/fs/cgroup/$group" ] || echo 0 >"/sys/fs/cgroup/$group/ralnode-test-$$-$1/cgroup.procs"
        done
        exec unshare --mount --pid --ipc --uts --cgroup --net --fork --kill-child \
            sh packaging/debian/machine.sh "$1" "$place/$1" "$base" "$package"
    ) </dev/null >>"$place/$1.log" 2>&1 &
    above=$!
    booted=
    for _ in $(seq 50); do
        booted=$(cat "/proc/$above/task/$above/children" 2>/dev/null | tr -d ' ')
        [ -z "$booted" ] || break
        sleep 0.1
    done
    [ -n "$booted" ] || { cat "$place/$1.log" >&2; cannot "no machine could be started"; }
    machines="$machines $booted"
    must "machine $1 boots" until_true 30 up "$booted"
    on "$booted" ip link set lo up
}
cable() { # PID ADDRESS PID ADDRESS: a wire between two machines
    ip link add ral-one netns "$1" type veth peer name ral-two netns "$3"
    plug "$1" ral-one "$2"
    plug "$3" ral-two "$4"
}
plug() { # PID DEVICE ADDRESS
    on "$1" ip link set "$2" name eth0
    on "$1" ip addr add "$3/24" brd + dev eth0
    on "$1" ip link set eth0 up
}
on() { # PID COMMAND...
    pid=$1
    shift
    nsenter -t "$pid" -m -u -i -n -p -C -r -w /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        "$@" </dev/null
}
into() { # PID FILE: standard input becomes a file that only root reads
    nsenter -t "$1" -m -u -i -n -p -C -r -w /bin/sh -c "umask 077; mkdir -p \"\$(dirname $2)\"; cat >$2"
}
until_true() { # SECONDS COMMAND...
    end=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.2
    done
}
must() { # WORDS COMMAND...
    said=$1
    shift
    if "$@" >/dev/null; then echo "ok    $said"; else
        echo "WRONG $said" >&2
        for pid in $machines; do on "$pid" journalctl -u 'ralnode*' -n 80 --no-pager >&2 2>/dev/null || true; done
        exit 1
    fi
}
not() { ! "$@"; }
up() { on "$1" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; }
shown() { on "$1" systemctl show -p "$2" --value "${3:-ralnode}"; } # PID PROPERTY [UNIT]
