#!/bin/sh
# Run every engine for real, two workers each, one of them killed: Dask, LSDB, ceci (MPI), Snakemake, LSST, Slurm.
# Opt-in (make test-engines). Usage: run.sh PYTHON, of a virtual environment with galcnn[test].
# Snakemake and LSST's pipelines ask for other versions of packages: each gets an environment beside that one.
set -eu
python=$1
here=$(dirname "$0")
venvs=${GALCNN_ENGINE_VENVS:-$(dirname "$python")/../engines}
mkdir -p "$venvs"
venvs=$(cd "$venvs" && pwd) # tests run their commands from other folders
root=$here/../..
"$python" -m pip install --quiet --constraint "$root/constraints.txt" --editable "$root[dask,lsdb,ceci]"
if ! command -v mpirun >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openmpi-bin
fi
if ! [ -x "$venvs/snakemake/bin/snakemake" ]; then
	"$python" -m venv "$venvs/snakemake"
	"$venvs/snakemake/bin/pip" install --quiet 'snakemake>=9'
fi
if ! [ -x "$venvs/lsst/bin/pipetask" ]; then
	"$python" -m venv "$venvs/lsst"
	# What they take from Amazon asks for an older python-dateutil than the rest.
	grep -v dateutil "$root/constraints.txt" >"$venvs/lsst/constraints.txt"
	"$venvs/lsst/bin/pip" install --quiet --constraint "$venvs/lsst/constraints.txt" --editable "$root[lsst,test]"
fi
GALCNN_SNAKEMAKE=$venvs/snakemake/bin/snakemake "$python" -m pytest "$here"
"$venvs/lsst/bin/python" -m pytest "$here/test_lsst.py"
sh "$here/slurm/run.sh" "$python"
