# SPDX-License-Identifier: GPL-3.0-or-later
# A sweep of real children on two nodes is interrupted by the signal that comes before the time is up, queues itself
# again and ends with the file of an undisturbed run; shards of an array, merged, do too.
. "$MIXSWEEP_TESTS/slurm/sandbox.sh"
job_file 32 4000
reference

case_ signal
job=$(sbatch --parsable "$root/slurm/sweep.sbatch" sweep.yaml)
within 60 "some runs done" has_done 4
scancel --batch --signal=USR1 "$job" # as --signal does
finish "$job"
grep -q "queued again" "slurm-$job.out" || die "it was not interrupted"
started_twice 8
same

case_ array
array=$(sbatch --parsable "$root/slurm/array.sbatch" sweep.yaml)
merge=$(sbatch --parsable --dependency="afterok:$array" --wrap 'mixsweep merge sweep.*-of-4.h5 -o sweep.h5')
finish "$merge"
mixsweep sweep sweep.yaml >sweep.out || die "the merged file does not go on" # all is there
same
