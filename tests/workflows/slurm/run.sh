#!/bin/sh
# Start a Slurm of one node on this machine, with Debian's packages, and run the array of examples/workflows/slurm.
# Opt-in (make test-engines): root. Usage: run.sh PYTHON
set -eu
python=$(command -v "$1") && python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
cd "$(dirname "$0")/../../.."
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "the Slurm test needs Debian or Ubuntu and root: it installs slurm-wlm"; exit 1
fi
if ! command -v slurmctld >/dev/null; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
fi
place=$(mktemp -d)
host=$(hostname -s)
cat >"$place/slurm.conf" <<-END
	ClusterName=galcnn
	SlurmctldHost=$host(127.0.0.1)
	NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
	PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
	AuthType=auth/munge
	AuthInfo=socket=$place/munge.socket
	SlurmUser=root
	SlurmdUser=root
	StateSaveLocation=$place/state
	SlurmdSpoolDir=$place/spool
	SlurmctldPidFile=$place/slurmctld.pid
	SlurmdPidFile=$place/slurmd.pid
	SlurmctldPort=16817
	SlurmdPort=16818
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	MpiDefault=none
	SelectType=select/cons_tres
	SelectTypeParameters=CR_CPU
	ReturnToService=2
	JobRequeue=1
END
chmod 755 "$place"
mkdir "$place/state" "$place/spool"
dd if=/dev/urandom of="$place/munge.key" bs=1 count=1024 2>/dev/null
chmod 400 "$place/munge.key"
munged --force --socket="$place/munge.socket" --key-file="$place/munge.key" --log-file="$place/munge.log" \
	--pid-file="$place/munge.pid" --seed-file="$place/munge.seed"
export SLURM_CONF="$place/slurm.conf"
slurmctld -D >"$place/slurmctld.log" 2>&1 &
controller=$!
slurmd -D >"$place/slurmd.log" 2>&1 &
node=$!
trap 'kill $node $controller 2>/dev/null; kill "$(cat "$place/munge.pid")" 2>/dev/null; tail -n 20 "$place"/*.log >&2' EXIT
tries=0
until sinfo -h -o %T 2>/dev/null | grep -q idle; do
	tries=$((tries + 1)); [ $tries -lt 60 ] || { echo "Slurm does not start"; exit 1; }
	sleep 1
done
sinfo --version
GALCNN_SLURM=1 "$python" -m pytest tests/workflows/test_slurm.py
trap - EXIT
kill $node $controller "$(cat "$place/munge.pid")"
wait $node $controller || true
rm -rf "$place"
