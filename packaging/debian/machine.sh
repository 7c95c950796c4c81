# One machine of systemd-test: becomes systemd, the first process of fresh namespaces, over an overlay of a Debian tree.
# Usage: sh machine.sh NAME PLACE BASE PACKAGE   (in namespaces made by `unshare`; not by hand)
set -eu
name=$1 place=$2 base=$3 package=$4
mount --make-rprivate /
. "$(dirname "$0")/tree.sh"
overlay_of "$place"
cp "$package" "$root/root/ralnode.deb" # not /tmp, which systemd empties
[ ! -x dist/ralnode ] || install -m 0755 dist/ralnode "$root/root/trial"
cp packaging/debian/ralnode_hang.py "$root/root/" # a plugin that hangs on demand
echo "$name" >"$root/etc/hostname"
hostname "$name"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs dev dev
for node in null zero full random urandom tty; do
    touch "dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx dev/ptmx
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else # the older layout: a hierarchy for each controller, and one for systemd
    mount -t tmpfs cgroups sys/fs/cgroup
    for controller in memory pids cpu; do
        [ -d "/sys/fs/cgroup/$controller" ] || continue
        mkdir -p "sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "sys/fs/cgroup/$controller"
    done
    mkdir -p sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
mkdir -p oldroot
pivot_root . oldroot
cd /
umount -l /oldroot
mount --make-rshared / # as container managers do: credentials reach services by propagation of mounts
exec env -i container=ralnode-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --show-status=false --log-target=journal </dev/null
