#!/usr/bin/env bash
# Many small volumes in one `predict`: time and peak memory of a tenth of them and of all, then a run that is killed
# again and again and goes on. Linux; not part of the tests, because it takes minutes.
#
#   cargo build --release && tests/many_volumes.sh target/release/udas 10000 20
set -euo pipefail
udas=$(realpath "${1:?the program}")
all=${2:-10000}
kills=${3:-20}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"

"$udas" --quiet phantom --task head --domain GE_3 --subjects 2 --matrix 32 --out heads >/dev/null
"$udas" --quiet train --data heads --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --out model >/dev/null
mkdir -p tenth all
# Volumes of 16 x 16 x 4 voxels, each of its own, all in one process.
perl -e 'srand(1);
    my $form = pack("f<12", 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0);
    for my $number (0 .. $ARGV[0] - 1) {
        my $header = "\0" x 352;
        my $put = sub { substr($header, $_[0], length $_[1]) = $_[1] };
        $put->(0, pack("l<", 348));
        $put->(40, pack("s<8", 3, 16, 16, 4, 1, 1, 1, 1));
        $put->(70, pack("s<2", 4, 16));
        $put->(76, pack("f<8", 1, 2, 2, 2, 1, 1, 1, 1));
        $put->(108, pack("f<2", 352, 1));
        $put->(254, pack("s<", 1));
        $put->(280, $form);
        $put->(344, "n+1\0");
        my $name = sprintf("%05d.nii", $number);
        open(my $file, ">", "all/$name") or die "all/$name: $!";
        binmode $file;
        print $file $header, pack("s<*", map { int(rand(1000)) } 1 .. 16 * 16 * 4);
        close($file) or die "all/$name: $!";
        $number % 10 or link("all/$name", "tenth/$name") or die "tenth/$name: $!";
    }' "$all"

# Runs `predict` on a folder; prints its time and the most memory that the kernel saw it hold.
measured() {
    local begin=$EPOCHREALTIME peak=0 seen
    "$udas" --quiet predict --model model --images "$1" --out "$2" >/dev/null 2>said &
    local run=$!
    while seen=$(awk '/^VmHWM/ { print $2 }' "/proc/$run/status" 2>/dev/null) && [[ -n $seen ]]; do
        peak=$seen
        sleep 0.1
    done
    wait "$run" || { cat said >&2; exit 1; }
    awk -v n="$(find "$1" -type f | wc -l)" -v s="$begin" -v e="$EPOCHREALTIME" -v kib="$peak" \
        'BEGIN { printf "%d volumes: %.1f s, %.1f volumes/s, peak %.1f MiB\n", n, e - s, n / (e - s), kib / 1024 }'
}
measured tenth out-tenth
begin=$EPOCHREALTIME
measured all out-all
length=$(awk -v s="$begin" -v e="$EPOCHREALTIME" 'BEGIN { print e - s }')

# Killed at moments that multiples of the golden section spread over the whole run's length, cut by the number of kills.
done_kills=0
for ((kill = 1; kill <= kills; kill++)); do
    "$udas" --quiet predict --model model --images all --out out-cut >/dev/null 2>&1 &
    run=$!
    sleep "$(awk -v l="$length" -v k="$kill" -v n="$kills" 'BEGIN { x = k * 0.61803398875; print 2 * l / n * (x - int(x)) }')"
    kill -KILL "$run" 2>/dev/null && done_kills=$((done_kills + 1))
    wait "$run" 2>/dev/null || true
    echo "after kill $kill: $(find out-cut -name '*.nii.gz' | wc -l) masks" >&2
done
"$udas" --quiet predict --model model --images all --out out-cut >/dev/null
differ=0
for mask in out-all/*.nii.gz; do
    cmp -s "$mask" "out-cut/${mask#out-all/}" || differ=$((differ + 1))
done
parts=$(find out-cut -name '*.part' | wc -l)
echo "$done_kills kills: $differ masks differ, $(wc -l <out-cut/masks.jsonl) lines in the list, $parts parts of files left"
[[ $differ == 0 && $parts == 0 ]]
