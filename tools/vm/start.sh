#!/bin/sh
# In the machine: runs /mnt/command as the wanted user in the wanted control group, tells the host how it ended, and turns the machine off.
. /mnt/settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkfifo /run/output
cat /run/output >"$(ls /dev/vport*p1)" &
teller=$!
exec >/run/output 2>&1 </dev/null
user='setpriv --reuid=1001 --regid=1001 --clear-groups env HOME=/home/tester USER=tester'
login='systemd-run --quiet --wait --pipe -p PAMName=vm' # to a session, as over ssh
tester="$login --uid=1001 --gid=1001 -p WorkingDirectory=/home/tester env HOME=/home/tester USER=tester"
case $AS in
root) if [ -n "$SYSTEMD" ]; then $login --uid=0 env HOME=/root /bin/sh /mnt/command; else HOME=/root /bin/sh /mnt/command; fi ;;
user) if [ -n "$SYSTEMD" ]; then $tester /bin/sh /mnt/command; else $user /bin/sh /mnt/command; fi ;;
delegated) $tester systemd-run --user --scope --quiet -p Delegate=yes /bin/sh /mnt/command ;;
esac
code=$?
exec >/dev/null 2>&1
wait $teller
echo $code >"$(ls /dev/vport*p2)"
/mnt/busybox sync
/mnt/busybox poweroff -f
