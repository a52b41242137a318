#!/bin/sh
# Run every engine for real, two workers each, one of them killed: Dask, LSDB, ceci (MPI), Snakemake, LSST, Slurm.
# All run, whichever fails; the last line names those that failed, and the exit code is 1 if there is one.
# Opt-in (make test-engines). Usage: run.sh PYTHON, of a virtual environment with galcnn[test].
# Snakemake and LSST's pipelines ask for other versions of packages: each gets an environment beside that one.
set -u
python=$(command -v "$1") && python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") || exit 2
cd "$(dirname "$0")/../.." || exit 2
tests=tests/workflows
# Absolute: tests run their commands from other folders.
venvs=${GALCNN_ENGINE_VENVS:-$(dirname "$python")/../engines}
mkdir -p "$venvs" && venvs=$(cd "$venvs" && pwd) || exit 2
failed=

try() { # NAME COMMAND...
	name=$1
	shift
	echo "== $name"
	"$@" || failed="$failed $name"
}

packages() {
	"$python" -m pip install --quiet --constraint constraints.txt --editable '.[dask,lsdb,ceci]'
}

mpi() {
	command -v mpirun >/dev/null && return
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		echo "ceci needs MPI: install openmpi-bin"
		return 1
	fi
	apt-get update -qq &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openmpi-bin
}

snakemake() {
	if ! [ -x "$venvs/snakemake/bin/snakemake" ]; then
		"$python" -m venv "$venvs/snakemake" &&
			"$venvs/snakemake/bin/pip" install --quiet 'snakemake>=9' || return
	fi
	GALCNN_SNAKEMAKE=$venvs/snakemake/bin/snakemake "$python" -m pytest "$tests/test_snakemake.py"
}

lsst() {
	if ! [ -x "$venvs/lsst/bin/pipetask" ]; then
		# What they take from Amazon asks for an older python-dateutil than the rest.
		"$python" -m venv "$venvs/lsst" &&
			grep -v dateutil constraints.txt >"$venvs/lsst/constraints.txt" &&
			"$venvs/lsst/bin/pip" install --quiet --constraint "$venvs/lsst/constraints.txt" \
				--editable '.[lsst,test]' || return
	fi
	"$venvs/lsst/bin/python" -m pytest "$tests/test_lsst.py"
}

try packages packages
try tasks "$python" -m pytest "$tests/test_tasks.py"
try dask "$python" -m pytest "$tests/test_dask.py"
try lsdb "$python" -m pytest "$tests/test_lsdb.py"
try mpi mpi
try ceci "$python" -m pytest "$tests/test_ceci.py"
try snakemake snakemake
try lsst lsst
try slurm sh "$tests/slurm/run.sh" "$python"
if [ -n "$failed" ]; then
	echo "failed:$failed"
	exit 1
fi
echo "all engines passed"
