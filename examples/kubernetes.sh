#!/bin/sh
# Runs sigframe once on every amd64 node of a cluster, and merges what comes back.
#
#   examples/kubernetes.sh IMAGE FOLDER [kubectl's options: --context, --namespace]
#
# FOLDER gets NODE.json of each node, nodes.txt, all.json and report.html. A node without results (it had no room, did
# not answer, ran out of time) is an error of the merge. Exit codes are those of sigframe merge: 0, 1, 70.
#
# It needs kubectl, and sigframe beside this folder (npm ci) or as SIGFRAME says. It makes one Job for each node, and
# deletes them when it ends.
set -eu

if [ $# -lt 2 ]; then
  echo 'usage: kubernetes.sh IMAGE FOLDER [options of kubectl]' >&2
  exit 64
fi
image=$1
folder=$2
shift 2

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
sigframe=${SIGFRAME:-"node $here/../dist/lib/cli/main.js"}
# A Job ends by itself within activeDeadlineSeconds, and its end is told soon after.
seconds=${SIGFRAME_SECONDS:-1000}
pause=${SIGFRAME_PAUSE:-5}

mkdir -p "$folder/results"
rm -f "$folder"/results/*.json

kubectl "$@" get nodes --selector kubernetes.io/os=linux,kubernetes.io/arch=amd64 \
  --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' > "$folder/nodes.txt" || exit 70

jobs=
delete_jobs() {
  # Names of Jobs have no blanks.
  # shellcheck disable=SC2086
  [ -z "$jobs" ] || kubectl "$@" delete --ignore-not-found --wait=false $jobs > /dev/null || true
}
trap 'delete_jobs "$@"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

: > "$folder/jobs.txt"
while read -r node; do
  # Names of nodes are letters, digits, dots and hyphens; images have no "|".
  if job=$(sed -e "s|NODE|$node|g" -e "s|IMAGE|$image|g" "$here/kubernetes.yml" |
    kubectl "$@" create --filename - --output name); then
    jobs="$jobs $job"
    echo "$node $job" >> "$folder/jobs.txt"
  fi
done < "$folder/nodes.txt"

waited=0
while read -r node job; do
  until kubectl "$@" get "$job" --output 'jsonpath={.status.conditions[*].type}' < /dev/null |
    grep -Eq 'Complete|Failed'; do
    if [ "$waited" -ge "$seconds" ]; then
      echo "$node: $job did not end within $seconds seconds" >&2
      break
    fi
    sleep "$pause"
    waited=$((waited + pause))
  done
  # What has no log has no results: the merge says so.
  if kubectl "$@" logs "$job" < /dev/null > "$folder/results/$node.log"; then
    mv "$folder/results/$node.log" "$folder/results/$node.json"
  fi
done < "$folder/jobs.txt"

code=0
$sigframe merge "$folder/results" --expect-file "$folder/nodes.txt" -o "$folder/all.json" || code=$?
$sigframe report "$folder/all.json" -o "$folder/report.html"
exit "$code"
