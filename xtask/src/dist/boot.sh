# Boots the systemd of a clean Debian as the first process of its own namespaces. $1 is the folder of the Debian. The unit
# dist-check.service in it does the rest; its exit code is that of this script.
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
for folder in run tmp dev; do
    mount -t tmpfs tmpfs "$folder"
done
mkdir dev/pts dev/shm
mount -t devpts devpts dev/pts
ln -s pts/ptmx dev/ptmx
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ip link set lo up
mkdir -p mnt/old
pivot_root . mnt/old
umount -l /mnt/old
exec env -i container=dist-check PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=dist-check.service </dev/null
