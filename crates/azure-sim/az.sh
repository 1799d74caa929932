#!/usr/bin/env bash
# The commands of Microsoft's article "Access Key Vault in a private network through shared private
# endpoints", with the real Azure CLI, against azure-sim. Run by `make az`.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=2.91.0
cache="${XDG_CACHE_HOME:-$HOME/.cache}/signalr-private-link-operator/azure-cli-$version"
if [ ! -e "$cache/complete" ]; then
    echo "installing azure-cli $version (once; some minutes)"
    rm -rf "$cache"
    python3 -m venv "$cache"
    "$cache/bin/pip" install --quiet "azure-cli==$version"
    touch "$cache/complete"
fi
cargo build --locked --quiet --workspace --bins

work=$(mktemp -d)
target/debug/azure-sim --ca-file "$work/ca.pem" --ready-file "$work/ready" >/dev/null &
simulator=$!
trap 'kill $simulator 2>/dev/null; wait $simulator 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -s "$work/ready" ] && break; sleep 0.1; done
ready() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/ready" "$1"; }
endpoint=$(ready armEndpoint)
control=$(ready controlEndpoint)
tell() { python3 -c 'import sys,urllib.request; urllib.request.urlopen(sys.argv[1], sys.argv[2].encode())' "$control$1" "$2"; }

subscription=00000000-0000-0000-0000-000000000000
group=/subscriptions/$subscription/resourceGroups/contoso/providers
signalr=$group/Microsoft.SignalRService/signalr/contoso-signalr
vault=$group/Microsoft.KeyVault/vaults/contoso-kv
tell /signalr "{\"resourceId\": \"$signalr\"}"
tell /vaults "{\"resourceId\": \"$vault\"}"

export AZURE_CONFIG_DIR=$work/azure REQUESTS_CA_BUNDLE=$work/ca.pem AZURE_CORE_COLLECT_TELEMETRY=false
az() { "$cache/bin/az" "$@"; }
show() { printf '\n$ az %s\n' "$*"; az "$@"; }

az config set core.instance_discovery=false --only-show-errors
az cloud register --name azure-sim --endpoint-resource-manager "$endpoint" --endpoint-active-directory "$endpoint" \
    --endpoint-active-directory-resource-id https://management.core.windows.net/ \
    --endpoint-active-directory-graph-resource-id "$endpoint" --only-show-errors
az cloud set --name azure-sim --only-show-errors
show login --service-principal --username "$(ready clientId)" --password "$(ready clientSecret)" --tenant "$(ready tenantId)" --output table

cat >"$work/create-pe.json" <<JSON
{"name": "contoso-kv", "properties": {"privateLinkResourceId": "$vault", "groupId": "vault", "requestMessage": "please approve"}}
JSON
link="$endpoint$signalr/sharedPrivateLinkResources/kv-pe?api-version=2021-06-01-preview"
rest() { az rest --resource https://management.core.windows.net/ "$@"; }
echo; echo "$ az rest --method put --uri …/sharedPrivateLinkResources/kv-pe --body @create-pe.json"
rest --method put --uri "$link" --body "@$work/create-pe.json"

connections() { az network private-endpoint-connection list -n contoso-kv -g contoso --type Microsoft.KeyVault/vaults "$@"; }
# While a vault has no connections the array is left out of its answer, and this command fails.
for _ in $(seq 60); do
    id=$(connections --query '[0].id' --output tsv 2>/dev/null || true)
    [ -n "$id" ] && break
    sleep 0.5
done
echo; echo "$ az network private-endpoint-connection list -n contoso-kv -g contoso --type Microsoft.KeyVault/vaults"
connections
show network private-endpoint-connection approve --id "$id" --description "Approved by hand" --query properties.privateLinkServiceConnectionState
for _ in $(seq 60); do
    status=$(rest --method get --uri "$link" --query properties.status --output tsv)
    [ "$status" = Approved ] && break
    sleep 0.5
done
echo; echo "$ az rest --method get --uri …/sharedPrivateLinkResources/kv-pe"
rest --method get --uri "$link"
[ "$status" = Approved ] || { echo "error: SignalR says $status, not Approved" >&2; exit 1; }
echo; echo "The article's commands work: SignalR says Approved."
