#!/bin/sh
# submit.sh MODEL CATALOG IMAGES OUT TASKS: classify a catalog with an array of TASKS tasks, then join the tables.
# The joining job completes array tasks that were killed or ran out of time.
set -eu
here=$(dirname "$0")
export MODEL="$1" CATALOG="$2" IMAGES="$3" OUT="$4"
array=$(sbatch --parsable --array="1-$5" "$here/array.sbatch")
sbatch --parsable --dependency="afterany:$array" --job-name=galcnn-join --cpus-per-task=1 --wrap \
	"exec galcnn classify '$MODEL' --catalog '$CATALOG' --images '$IMAGES' --out '$OUT' --chunk ${CHUNK:-512} --quiet --tasks $5"
