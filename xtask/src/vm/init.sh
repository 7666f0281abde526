#!/bin/busybox sh
# The machine's first process: mounts file systems, loads modules, runs each line of /tests and prints how it ended. The kernel
# writes to the first serial port and the tests to the second, so that the kernel can't write into their lines.

/bin/busybox --install -s /applets
/bin/busybox ln -s busybox /bin/sh
export PATH=/bin:/applets
# Emulated CPUs are slow.
export WAGGLE_LAB_SLOWDOWN=6

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp

exec </dev/null >/dev/ttyS1 2>&1
stty raw </dev/ttyS1

while read -r module; do
    file=/modules/$module
    case $module in
    *.xz)
        xz -dc "$file" >/tmp/module.ko
        file=/tmp/module.ko
        ;;
    esac
    insmod "$file" || {
        echo "can't load kernel module $module"
        poweroff -f
    }
done </modules/order

ip link set lo up
set -f
while read -r line; do
    # shellcheck disable=SC2086 # words are meant to be split
    set -- $line
    echo "waggle-vm: begin $*"
    "/waggle/$@"
    code=$?
    # The test's output may have ended in the middle of a line.
    echo
    echo "waggle-vm: end $code"
done </tests
echo "waggle-vm: done"
poweroff -f
