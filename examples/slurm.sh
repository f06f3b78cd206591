#!/bin/bash
#SBATCH --nodes=4 --ntasks-per-node=1 --gpus-per-node=1 --requeue --open-mode=append
# One task per node. A worker that is lost ends the others with status 75, and the job is put back into the queue.
export WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:12345"/' | paste -sd,)
srun bash -c '
  export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec tfkd distill records/lits runs/student --teacher runs/teacher/model.keras --network ENet \
    --batch-size 32 --strategy multi_worker
' || { [ $? -eq 75 ] && scontrol requeue "$SLURM_JOB_ID"; }
