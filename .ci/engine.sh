# shellcheck shell=bash
# A Docker engine and the image that ours are built from, on a machine that may have neither.
# Sourced by .ci/run. Everything is idempotent; engine_stop ends only what engine_start began.

engine_pid=
engine_log=

# need COMMAND [PACKAGE]: installs the package of a command that is missing.
need() {
    command -v "$1" >/dev/null && return
    [ -n "${apt_is_fresh:-}" ] || apt-get update -q
    apt_is_fresh=1
    apt-get install -q -y --no-install-recommends "${2:-$1}"
}

engine_answers() {
    docker version >/dev/null 2>&1
}

engine_start() {
    engine_answers && return
    need dockerd docker.io
    need docker docker-cli # a package of its own since Debian 13
    engine_answers && return # the package has started its service
    need iptables
    if ! grep -q ' /sys/fs/cgroup' /proc/mounts; then # no init has mounted it
        need cgroupfs-mount
        cgroupfs-mount
    fi
    engine_log=$(mktemp)
    for driver in overlay2 vfs; do # vfs works on every file system, and is slow
        dockerd --storage-driver "$driver" >"$engine_log" 2>&1 </dev/null &
        engine_pid=$!
        for _ in $(seq 120); do
            engine_answers && return
            kill -0 "$engine_pid" 2>/dev/null || break
            sleep 0.5
        done
        engine_stop
    done
    echo "dockerd does not start; the end of its log:" >&2
    tail -n 30 "$engine_log" >&2
    return 1
}

engine_stop() {
    [ -n "$engine_pid" ] || return 0
    kill "$engine_pid" 2>/dev/null || true # it ends its containers and its containerd
    wait "$engine_pid" || true
    engine_pid=
}

# base_image NAME:SUITE-slim: pulled, or where no registry can be reached made from the Debian archive.
base_image() {
    docker image inspect "$1" >/dev/null 2>&1 && return
    timeout 300 docker pull --quiet "$1" && return
    echo "$1 cannot be pulled: making it with debootstrap"
    need debootstrap
    local suite=${1#*:} root mirror=
    root=$(mktemp -d)
    # The mirror this machine uses itself, if it is one of Debian.
    if grep -qx ID=debian /etc/os-release; then
        # shellcheck disable=SC2016  # apt's variable, not ours
        mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" |
            head -n 1)
    fi
    # As little as the real one has, so that the Dockerfiles show what they forget to install.
    debootstrap --variant=minbase --include=ca-certificates "${suite%-slim}" "$root" ${mirror:+"$mirror"} >/dev/null
    # A network with a certificate authority of its own has it in this machine's bundle.
    local bundle=/etc/ssl/certs/ca-certificates.crt
    [ ! -f "$bundle" ] || cp -L "$bundle" "$root$bundle"
    tar -C "$root" --exclude=./var/cache/apt/archives/*.deb -c . | docker import --change 'CMD ["bash"]' - "$1"
    rm -rf --one-file-system "$root"
}
