#!/usr/bin/env bash
# Runs a small experiment on a real Slurm cluster of one node, started for it on this machine: arrays with
# dependencies, logs collected, a failed job submitted again by the next call, and the same table as the local
# executor's. Usage: tests/slurm.sh UDAS (the built program). Needs root and Debian's packages
# slurmctld, slurmd, slurm-client, munge.
set -euo pipefail
udas=$(realpath "$1")

for tool in slurmctld slurmd sbatch squeue munged; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 0; }
done
[[ $(id -u) == 0 ]] || { echo "SKIPPED: only root can start munged, slurmctld and slurmd"; exit 0; }
if scontrol ping 2>/dev/null | grep -q UP; then
    echo "SKIPPED: this machine belongs to a Slurm cluster already"
    exit 0
fi

work=$(mktemp -d)
started=()
stop() {
    local code=$?
    ((code == 0)) || echo "slurm: failed" >&2
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT

start_munge() {
    [[ -e /etc/munge/munge.key ]] || mungekey
    chown munge: /etc/munge/munge.key
    mkdir -p /run/munge
    chown munge: /run/munge
    if ! munge -n >/dev/null 2>&1; then
        setpriv --reuid=munge --regid=munge --clear-groups munged --foreground >/dev/null 2>&1 &
        started+=($!)
    fi
    for _ in {1..50}; do munge -n >/dev/null 2>&1 && return; sleep 0.1; done
    echo "munged does not answer" >&2
    exit 1
}

start_slurm() {
    local host cores memory
    host=$(hostname -s)
    cores=$(nproc)
    memory=$(awk '/MemAvailable/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
    mkdir -p "$work/state" "$work/spool"
    cat >"$work/slurm.conf" <<CONF
ClusterName=udas-test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$work/slurm.conf
    slurmctld -D -c >/dev/null 2>&1 &
    started+=($!)
    slurmd -D -c >/dev/null 2>&1 &
    started+=($!)
    for _ in {1..150}; do
        [[ $(sinfo --noheader --format=%T 2>/dev/null) == idle ]] && return
        sleep 0.2
    done
    echo "the node does not come up:" >&2
    tail -n 20 "$work"/slurm*.log >&2
    exit 1
}

experiment=$(realpath "$(dirname "$0")/experiments/tiny.toml")
compare() {
    "$udas" compare "$experiment" --preset tiny --program "$program" "$@"
}

start_munge
start_slurm

# A program that fails once, in one job of an array: the others and what does not need it go on.
program=$work/udas-once
cat >"$program" <<SCRIPT
#!/bin/sh
case "\$*" in *adapt/early-features*GE_15/seed-0*) [ -e "$work/mended" ] || { echo "out of luck" >&2; exit 1; } ;; esac
exec "$udas" "\$@"
SCRIPT
chmod +x "$program"

echo "== one job fails"
if compare --executor slurm --out "$work/slurm" >"$work/first.txt" 2>&1; then
    cat "$work/first.txt"
    echo "the failure went unnoticed" >&2
    exit 1
fi
cat "$work/first.txt"
grep -q "^FAILED tiny/adapt/.*/GE_15" "$work/first.txt"
grep -rq "out of luck" "$work/slurm/logs"
[[ -e "$work/slurm/tiny/score/early-features-level-0/Siemens_3/seed-0/scores.json" ]]

echo "== the next call submits it again, and nothing else"
touch "$work/mended"
compare --executor slurm --out "$work/slurm" 2>&1 | tee "$work/second.txt"
grep -q "submitted .*: 1 adapt jobs" "$work/second.txt"
if grep -q "source jobs" "$work/second.txt"; then
    echo "finished jobs were submitted again" >&2
    exit 1
fi

echo "== the local executor comes to the same table"
compare --executor local --out "$work/local" >/dev/null
cmp "$work/slurm/tiny/table.txt" "$work/local/tiny/table.txt"
echo "slurm: passed"
