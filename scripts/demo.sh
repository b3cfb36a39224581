#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs a complete distillation on drawn pictures
# (examples/shapes): a teacher, a student alone, and the same student with the teacher, for two
# losses. Ends with a table and with pictures of what each model finds.
#   scripts/demo.sh [FOLDER [key.path=value ...]]
# FOLDER   where everything is written, out/demo by default; an earlier demo in it is replaced
# The overrides hold for all four runs: scripts/demo.sh out/seed1 train.seed=1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
  -h | --help) sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
esac
out=${1:-out/demo}
[ "$#" -eq 0 ] || shift
overrides=("$@")
shapes=build/cpu-release/examples/shapes/shapes

say() { printf '\n== %s\n' "$*"; }

# train_run NAME: trains examples/shapes/NAME.json into $out/runs/NAME.
train_run() {
  local name=$1 begin=$SECONDS teacher=()
  if [[ $name == student_* ]]; then
    teacher=("teacher.weights=$out/runs/teacher/weights/best.safetensors")
  fi
  say "$name"
  ./ydistill train "examples/shapes/$name.json" "run.dir=$out/runs" \
    "data.train.yolo=$out/data/images/train" "data.val.yolo=$out/data/images/val" \
    "${teacher[@]}" "${overrides[@]}"
  echo "$name: $((SECONDS - begin)) s"
}

# metrics NAME: P, R, mAP50 and mAP50-95 of the epoch that weights/best.safetensors holds.
metrics() {
  awk -F, '
    NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; next }
    {
      map50 = $column["metrics/mAP_0.5"]; map = $column["metrics/mAP_0.5:0.95"]
      fitness = 0.1 * map50 + 0.9 * map
      if (NR == 2 || fitness > best) {
        best = fitness
        line = sprintf("%9.3f %9.3f %9.3f %9.3f", $column["metrics/precision"],
                       $column["metrics/recall"], map50, map)
      }
    }
    END { print line }' "$out/runs/$1/results.csv"
}

# table_row TEACHER METHOD LOSS RUN
table_row() { printf '%-9s %-26s %-18s %s\n' "$1" "$2" "$3" "$(metrics "$4")"; }

table() {
  printf '%-9s %-26s %-18s %9s %9s %9s %9s\n' \
    teacher method loss P R mAP50 mAP50-95
  table_row - "yolov5n, the teacher" labels teacher
  table_row - "half yolov5n alone" labels student
  table_row yolov5n "half yolov5n distilled" "labels + L2" student_l2
  table_row yolov5n "half yolov5n distilled" "labels + KL" student_kl
}

explain() {
  cat <<'TEXT'

P and R are precision and recall at the confidence that serves both best; mAP50 is the mean over the classes of the
area under precision against recall, with a box counted as found at an overlap (IoU) of 0.5; mAP50-95 is the mean of
that over overlaps 0.5, 0.55, ... 0.95. All are measured on pictures that no run was trained on, for the best epoch of
each run, as YOLOv5 chooses it: on these same pictures, which flatters every row alike.
The teacher has four times the weights of a student and as many steps; it shows what there is to learn. The three
students are the same network with the same seed, the same first weights, the same pictures in the same order and the
same number of steps; only the loss differs. One seed is one throw of the dice: the student alone has differed by 0.16 of
mAP50-95 between runs, so a smaller difference between two rows says nothing (scripts/demo.sh out/seed1
train.seed=1). The gains of the distillation were tried out on these pictures; that one loss does better here than another
does not carry over to your data. examples/shapes/README.md has the table of four runs.
TEXT
}

begin=$SECONDS
scripts/install_deps.sh
scripts/build.sh --target ydistill_tool --target shapes cpu-release
built=$SECONDS

# Remove only what an earlier demo made: the file .demo marks it.
for part in data runs pictures; do
  if [ -e "$out/$part" ] && [ ! -e "$out/.demo" ]; then
    echo "demo: $out/$part is not from an earlier demo; name another folder" >&2
    exit 1
  fi
  rm -rf "${out:?}/$part"
done
mkdir -p "$out"
touch "$out/.demo"
say "drawing the pictures"
"$shapes" "$out/data"
for name in teacher student student_l2 student_kl; do train_run "$name"; done

say "pictures"
for name in teacher student student_l2 student_kl; do
  ./ydistill detect --weights "$out/runs/$name/weights/best.safetensors" \
    --source "$out/data/images/val/00000?.jpg" --out "$out/pictures/$name" --size 96
done

say "what came of it"
table | tee "$out/table.txt"
explain
printf '\nInstalled and built in %d s, experiment in %d s. Runs: %s/runs, pictures: %s/pictures\n' \
  "$((built - begin))" "$((SECONDS - built))" "$out" "$out"
