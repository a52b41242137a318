#!/bin/sh
# submit.sh MODEL CATALOG IMAGES OUT TASKS: classify a catalog by an array of so many tasks, then join the tables.
# What an array task did not finish (killed, out of time), the joining job does before it joins.
set -eu
here=$(dirname "$0")
export MODEL="$1" CATALOG="$2" IMAGES="$3" OUT="$4"
array=$(sbatch --parsable --array="1-$5" "$here/array.sbatch")
sbatch --parsable --dependency="afterany:$array" --job-name=galcnn-join --cpus-per-task=1 --wrap \
	"exec galcnn classify '$MODEL' --catalog '$CATALOG' --images '$IMAGES' --out '$OUT' --chunk ${CHUNK:-512} --quiet --tasks $5"
