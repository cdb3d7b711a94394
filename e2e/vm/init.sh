#!/bin/busybox sh
# The first process of the virtual machine: mounts what a machine has, runs the
# tests with their output on the second serial port, reports, and waits for the
# power to be cut: switching off would write out what a power cut loses.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
busybox mkdir -p /proc /sys /dev /tmp /run /var/lib /root /disk
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
busybox mkdir -p /dev/pts /dev/shm
busybox mount -t devpts devpts /dev/pts
busybox mount -t tmpfs -o mode=1777 shm /dev/shm
busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
busybox mount -t tmpfs -o mode=1777 tmp /tmp
ip link set lo up
hostname e2e-vm

exec > /dev/ttyS1 2>&1 < /dev/null
echo 'e2e-vm: booted'
for module in /modules/*.ko; do
  [ -e "$module" ] && { insmod "$module" || echo "cannot load $module"; }
done
[ -b /dev/vda ] && { mount -t ext4 /dev/vda /disk || echo 'cannot mount the disk'; }

cd /opt/e2e && . /opt/e2e/payload
echo "e2e-vm: exit $?"
while :; do sleep 60; done
