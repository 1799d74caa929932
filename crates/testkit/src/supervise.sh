#!/bin/sh
# Runs etcd and kube-apiserver in "$1" until standard input ends, then stops them and removes the
# directory. Standard input is a pipe that only the starting process holds, so this happens after
# a panic, a Ctrl-C or a kill -9 of that process just as after an orderly end.
#
# $1 directory, $2 directory of the binaries, $3 etcd client port, $4 etcd peer port, $5 API port
set -u
dir=$1 bin=$2 client=$3 peer=$4 port=$5

"$bin/etcd" --name testkit --data-dir "$dir/etcd" \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "testkit=http://127.0.0.1:$peer" --unsafe-no-fsync \
    >"$dir/etcd.log" 2>&1 </dev/null &
etcd=$!

# What service accounts ask for, and whether they may.
cat >"$dir/audit.yaml" <<'POLICY'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - {level: Metadata, userGroups: ["system:serviceaccounts"]}
  - {level: None}
POLICY

start_apiserver() {
    # Memory is cheaper here than the time that collecting it takes.
    GOGC=400 "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$client" \
        --cert-dir="$dir/apiserver" --tls-cert-file="$dir/server.pem" --tls-private-key-file="$dir/server.key" \
        --secure-port="$port" --bind-address=127.0.0.1 \
        --authorization-mode=RBAC --client-ca-file="$dir/ca.pem" \
        --service-cluster-ip-range=10.0.0.0/24 --disable-admission-plugins=ServiceAccount \
        --service-account-issuer=https://testkit.invalid --service-account-key-file="$dir/sa.pub" \
        --service-account-signing-key-file="$dir/sa.key" --endpoint-reconciler-type=none \
        --audit-policy-file="$dir/audit.yaml" --audit-log-path="$dir/audit.log" \
        --watch-cache=true --v=1 \
        >>"$dir/kube-apiserver.log" 2>&1 </dev/null &
    apiserver=$!
}
start_apiserver

# One word a line: "stop" stops the API server, "start" starts it again; the end of the input ends it all.
while read -r word; do
    case $word in
        stop) kill -9 "$apiserver" 2>/dev/null; wait "$apiserver" 2>/dev/null ;; # a crash: no grace for watches
        start) start_apiserver ;;
    esac
done

# The API server goes first: without its etcd it would wait for a long time.
kill "$apiserver" 2>/dev/null
( sleep 5; kill -9 "$apiserver" 2>/dev/null ) &
impatience=$!
wait "$apiserver" 2>/dev/null
kill "$impatience" 2>/dev/null
kill "$etcd" 2>/dev/null
wait "$etcd" 2>/dev/null
rm -rf "$dir"
