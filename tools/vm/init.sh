#!/bin/busybox sh
# The first program of the machine: this host's files, read-only, with places to write on a scratch disk; then /mnt/start, or systemd.
/bin/busybox mkdir -p /proc /sys /dev /new /repo
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "$module"; done </modules
. /settings

mount -t virtiofs -o ro host /new || exec sh
mount -t ext4 /dev/vda /new/mnt
overlay() { # what is at $1 can be written to from now on, at $2
    layer=/new/mnt/.layers$1
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay -o "lowerdir=$1,upperdir=$layer/upper,workdir=$layer/work" overlay "$2"
}
overlay "/new$REPO" /repo
tar -x -C /repo -f /tree.tar # a copy: edits meanwhile do not disturb
rm /tree.tar
for place in etc var root home; do overlay "/new/$place" "/new/$place"; done
mkdir -m 1777 /new/mnt/tmp
mount -o bind /new/mnt/tmp /new/tmp
mkdir -p "/new$REPO"
mount -o move /repo "/new$REPO"

mount -o move /proc /new/proc
mount -o move /sys /new/sys
mount -o move /dev /new/dev
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /new/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm
mount -t tmpfs -o mode=755 tmpfs /new/run
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /new/sys/fs/cgroup
ln -sf /proc/self/fd /new/dev/fd
for i in 0:stdin 1:stdout 2:stderr; do ln -sf "/proc/self/fd/${i%:*}" "/new/dev/${i#*:}"; done
chmod 666 /new/dev/kvm /new/dev/net/tun 2>/dev/null

echo "tester:x:1001:1001::/home/tester:/bin/bash" >>/new/etc/passwd
echo "tester:x:1001:" >>/new/etc/group
echo "tester:*:19000:0:99999:7:::" >>/new/etc/shadow
rm -f /new/run/nologin /new/etc/machine-id
echo 0123456789abcdef0123456789abcdef >/new/etc/machine-id
mkdir -p /new/home/tester
chown 1001:1001 /new/home/tester "/new$REPO"
chmod 711 /new/root # interpreters may lie below it

cp /settings /command /start /modprobe /new/mnt/
cp /bin/busybox /new/mnt/busybox
mkdir -p /new/mnt/modprobe.d
for module in $WITHOUT; do echo "install $module /bin/false"; done >/new/mnt/modprobe.d/without.conf
echo /mnt/modprobe >/new/proc/sys/kernel/modprobe
ip link set lo up
for setting in $SYSCTLS; do
    echo "${setting#*=}" >"/new/proc/sys/$(echo "${setting%%=*}" | tr . /)" || echo "no setting $setting"
done
hostname machine
cp /vm.service /new/etc/systemd/system/vm.service
chmod 644 /new/etc/systemd/system/vm.service
printf 'account required pam_permit.so\nauth required pam_permit.so\nsession required pam_systemd.so class=user\n' >/new/etc/pam.d/vm
if [ -n "$SYSTEMD" ]; then exec switch_root /new /lib/systemd/systemd --unit=vm.service; fi
exec switch_root /new /mnt/start
