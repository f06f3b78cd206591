#!/bin/bash
# The records of the studies: bash benchmarks/quality/prepare.sh DATA [full]
# DATA holds lits17/ and Dataset901_AbdomenCT/. What is there already is left as it is. `full` makes those of full_width too.
set -euo pipefail
data=${1:?expected the folder that holds lits17/ and Dataset901_AbdomenCT/}
records=runs/records
phantoms=runs/phantoms96

records() { # source, name, size, further options
  [ -d "$records/$2" ] || tfkd prepare "$1" "$records/$2" --size "$3" "$3" --validation 0 "${@:4}"
}

# CT without masks of the eight organs: the training patients of lits17, whose HU lie in [-40, 160].
unlabelled=runs/abdomen_unlabelled
mkdir -p $unlabelled
for patient in 0 3 4 5 8 10 11 12 14 15 18 22 30 32 34 41 42 43 47; do
  cp -n "$data/lits17/volume-$patient.nii.gz" $unlabelled
done
with_unlabelled=(--window -40 160 --unlabelled $unlabelled)

sizes=(128)
[ "${2:-}" = full ] && sizes+=(256)
for size in "${sizes[@]}"; do
  records "$data/Dataset901_AbdomenCT" "abdomen${size}_u" "$size" --test-cases abd_007 abd_028 abd_031 "${with_unlabelled[@]}"
  # The same, with the masks of two of the seven that are trained on.
  records "$data/Dataset901_AbdomenCT" "abdomen${size}_few" "$size" --mask-cases abd_005 abd_021 \
    --test-cases abd_007 abd_028 abd_031 "${with_unlabelled[@]}"
done
# The training patients alone: what is chosen by trying is chosen on two of them.
dev=runs/abdomen_dev
mkdir -p $dev/imagesTr $dev/labelsTr
cp "$data/Dataset901_AbdomenCT/dataset.json" $dev
for patient in 005 006 009 010 021 027 030; do
  cp -n "$data/Dataset901_AbdomenCT/imagesTr/abd_${patient}_0000.nii.gz" $dev/imagesTr
  cp -n "$data/Dataset901_AbdomenCT/labelsTr/abd_$patient.nii.gz" $dev/labelsTr
done
records $dev abdomen128_dev 128 --test-cases abd_009 abd_027

records "$data/lits17" lits128 128 --test-cases 7 9 16 23 29 35

# The same patients; of those that are trained on, five have their masks.
records "$data/lits17" lits128_quarter 128 --mask-cases 0 8 14 30 42 --test-cases 7 9 16 23 29 35

python -c "import tfkd; tfkd.phantom.write_phantom_cohort('$phantoms', 100, shape_zyx=(24, 96, 96))"
# shellcheck disable=SC2046
records $phantoms phantoms96 96 --test-cases $(seq 60 99)

# The same patients; of those that are trained on, every fourth or every tenth has its mask.
# shellcheck disable=SC2046
records $phantoms phantoms96_quarter 96 --mask-cases $(seq 0 4 59) --test-cases $(seq 60 99)
# shellcheck disable=SC2046
records $phantoms phantoms96_few 96 --mask-cases $(seq 0 10 59) --test-cases $(seq 60 99)
