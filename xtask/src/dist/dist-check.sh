# Starts the installed unit in a booted Debian, stops it, and removes the package. Then does without the package what
# docs/standalone.md and docs/install.md say. The commands are in their words.
systemctl daemon-reload
mkdir -p /etc/waggle/manifests
cp /usr/share/doc/waggle/examples/two-web-servers/web.yaml /etc/waggle/manifests/
systemctl enable --now waggle
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
# The shell remembers where the package had the program.
hash -r
rm -r /etc/waggle
cd /source
install -m 755 target/release/waggle /usr/local/bin/waggle
install -m 644 deploy/systemd/waggle.service /etc/systemd/system/waggle.service
mkdir -p /etc/waggle/manifests
cp deploy/standalone/two-web-servers/web.yaml /etc/waggle/manifests/
systemctl enable --now waggle
timeout 120 sh -c 'until waggle ready 2>/dev/null; do sleep 0.2; done'
waggle get services web
journalctl -u waggle
systemctl disable --now waggle
install target/release/waggle /usr/local/bin/
waggle run --manifests /etc/waggle/manifests &
timeout 120 sh -c 'until waggle ready 2>/dev/null; do sleep 0.2; done'
kill $!
wait $!
waggle cleanup
