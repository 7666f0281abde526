# Starts the installed unit in a booted Debian, stops it, and removes the package.
mkdir -p /etc/waggle/manifests
cp -r /usr/share/doc/waggle/examples/* /etc/waggle/manifests/
systemctl daemon-reload
systemctl start waggle
timeout 120 sh -c 'until waggle ready 2>/dev/null; do sleep 0.2; done'
systemctl is-active waggle
waggle get services
systemctl stop waggle
# The data plane serves on.
waggle get services web
systemctl start waggle
timeout 120 sh -c 'until waggle ready 2>/dev/null; do sleep 0.2; done'
dpkg --purge waggle
test ! -e /sys/fs/bpf/waggle/default
test ! -e /var/lib/waggle
