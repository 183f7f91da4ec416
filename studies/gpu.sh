#!/usr/bin/env bash
# What a GPU has to show, in under 8 minutes on a large one:
#     bash studies/gpu.sh OUT [--data DIR --weights DIR] [--smoke]
# Tests on CUDA; time and memory beside the stock networks; a training step with AMP,
# torch.compile and NCCL; then MIPNet-TinyPose trained and tested (studies/photographs.py)
# where --data has photographs. Each part has its time and writes its table into OUT
# before the next one starts; one that fails does not stop the others. --smoke does it
# on a CPU.
set -u
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
out=${1:?bash studies/gpu.sh OUT [--data DIR --weights DIR] [--smoke]}
shift
mkdir -p "$out"
data='' weights='' smoke='' epochs=12
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=$2 && shift 2 ;;
    --weights) weights=$2 && shift 2 ;;
    --epochs) epochs=$2 && shift 2 ;;
    --smoke) smoke=--smoke && shift ;;
    *) echo "gpu.sh: unknown argument $1" >&2 && exit 2 ;;
    esac
done
python=${PYTHON:-python3}

part() { # name, seconds, command
    local name=$1 seconds=$2 start=$SECONDS
    shift 2
    timeout "$seconds" "$@" >"$out/$name.log" 2>&1
    echo "$name: exit $?, $((SECONDS - start)) s of $seconds"
}

part tests 60 "$python" -m pytest -q -p no:cacheprovider tests/test_cuda.py
networks=(td-hm_hrnet-w32_8xb64-210e_coco-256x192 td-hm_hrnet-w48_8xb32-210e_coco-384x288)
cost() { # name, seconds, arguments of cost.py
    part "$1" "$2" "$python" studies/cost.py --out "$out/$1.csv" "${@:3}"
}
if [ -n "$smoke" ]; then
    cost cost 150 --batch 2 --rounds 1 --modes float32 AMP compiled \
        --variants stock 'N = 2' \
        --networks simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192
else
    gpu=(--device cuda --batch 64 --rounds 5 --networks)
    cost float32 75 "${gpu[@]}" "${networks[@]}" --modes float32
    cost AMP 75 "${gpu[@]}" "${networks[@]}" --modes AMP
    cost compiled 120 "${gpu[@]}" "${networks[0]}" --modes compiled --variants stock 'N = 2'
fi
if [ -n "$data" ]; then
    device=(--device cuda --workers 7)
    [ -n "$smoke" ] && device=(--device cpu --limit 16) && epochs=1
    part photographs $((470 - SECONDS)) "$python" studies/photographs.py "$data" \
        --weights "$weights" --out "$out/photographs" --seeds 0 --runs mipnet \
        --epochs "$epochs" "${device[@]}"
fi
cat "$out"/*.csv
