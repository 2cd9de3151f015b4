"""The two shell scripts of a Flux TrainJob, and the broker's configuration inside one of them.

Made by `flux`, kept in a ConfigMap, run by bash: `init` in the container that has Flux installed, `entrypoint` in the node's own, which
finds Flux under /mnt/flux. Both know only what stands in the volumes and in their text.
Contract: paths of the flux-view images; flux-config-bootstrap(5), flux-broker(1), flux-run(1).
"""

_BROKER = """\
[access]
allow-guest-user = true
allow-root-owner = true

[resource]
path = "/mnt/flux/config/etc/flux/system/R"

[bootstrap]
curve_cert = "/mnt/flux/config/etc/curve/curve.cert"
default_port = 8050
default_bind = "tcp://{device}:%p"
default_connect = "tcp://%h.{domain}:%p"
hosts = [
  {{ host = "{hosts}" }},
]

[archive]
dbpath = "/mnt/flux/config/var/lib/flux/job-archive.sqlite"
period = "1m"
busytimeout = "50s"

[sched-fluxion-qmanager]
queue-policy = "{queue}"
"""
_INIT = """\
#!/bin/bash
set -e
root=/mnt/flux
config=$root/config
mkdir -p "$root/view" "$config/etc/curve" "$config/etc/flux/config" "$config/etc/flux/system/cron.d"
mkdir -p "$config/run/flux" "$config/var/lib/flux"
echo '@HOSTS@' > "$config/etc/flux/system/hostlist"
cat > "$config/etc/flux/config/broker.toml" <<'END'
@BROKER@END
views=(/opt/views/._view/*)
cp -R "${views[0]}"/* "$root/view"
cp -R /opt/software "$root/"
echo "flux: installed for @HOSTS@"
"""
_ENTRYPOINT = """\
#!/bin/bash
command="$*"
root=/mnt/flux
view=$root/view
config=$root/config

cp -R "$root"/software/* /opt/software/
# After what the image has: its own Python goes first.
export PATH=$PATH:$view/bin
python=$(basename "$(find "$view/lib" -maxdepth 1 -type d -name 'python3*' | head -n 1)")
if [ -x "$view/bin/$python" ]; then
  ln -sf "$view/bin/$python" "$view/bin/python3"
  ln -sf "$view/bin/$python" "$view/bin/python"
fi
export PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$view/lib/$python/site-packages
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$view/lib
export FLUX_RC_EXTRA=$view/etc/flux/rc1.d
cat > "$root/flux-view.sh" <<END
export PATH=$PATH
export PYTHONPATH=$PYTHONPATH
export LD_LIBRARY_PATH=$LD_LIBRARY_PATH
export fluxsocket=local://$config/run/flux/local
END

# Brokers refuse a certificate that others can read.
install -m 600 /curve/curve.cert "$config/etc/curve/curve.cert"
flux R encode --hosts="$(cat "$config/etc/flux/system/hostlist")" @FOUND@ > "$config/etc/flux/system/R"

options=(
  "-Scron.directory=$config/etc/flux/system/cron.d"
  -Stbon.fanout=256
  "-Srundir=$config/run/flux"
  "-Sstatedir=$config/var/lib/flux"
  "-Slocal-uri=local://$config/run/flux/local"
  -Slog-stderr-level=0
  -Slog-stderr-mode=local
)
if [ "$(hostname)" != '@LEADER@' ]; then
  # The leader may be later than its followers: these come back until it lets them go.
  until flux start -o --config "$config/etc/flux/config" "${options[@]}"; do
    echo "flux: no leader yet, trying again in 15 s"
    sleep 15
  done
elif [ -z "$command" ]; then
  exec flux broker --config-path "$config/etc/flux/config" "${options[@]}"
else
  exec flux start -o --config "$config/etc/flux/config" "${options[@]}" flux run @FLAGS@ $command
fi
"""


def broker(*, hosts: str, device: str, domain: str, queue: str) -> str:
    """broker.toml for the hosts of a list in Flux's notation (`job-node-0-[0-3]`), which find each other under `domain`."""
    return _BROKER.format(hosts=hosts, device=device, domain=domain, queue=queue)


def init(*, hosts: str, broker: str) -> str:
    return _INIT.replace("@HOSTS@", hosts).replace("@BROKER@", broker)


def entrypoint(*, leader: str, found: str, flags: str) -> str:
    """`leader` is the host that runs the command; `found` what every node has (`--cores=0-3`); `flags` how the command is spread."""
    return _ENTRYPOINT.replace("@LEADER@", leader).replace("@FOUND@", found).replace("@FLAGS@", flags)
