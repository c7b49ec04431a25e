#!/bin/sh
# For developing an app on your own machine, without Azure and without a cluster: the emulator plays Entra ID and the
# cluster, and the sidecar answers as a virtual machine's metadata service would, on a port of yours.
#
# Needs azwi-emulator and azwi-proxy in PATH (`cargo build -p azwi-emulator -p azwi-proxy`), and curl. With arguments it
# runs them as a command with the variables that Azure SDKs follow, e.g. `examples/local-development.sh python3 app.py`;
# without, it asks for one token and shows the answer. All ends with it.
set -eu

port=${PROXY_PORT:-8000}
directory=$(mktemp -d)
running=
# What went wrong stands in the logs, the sidecar's last.
finish() {
  status=$?
  kill $running 2>/dev/null || true
  wait
  [ $status -eq 0 ] || cat "$directory"/*.log >&2
  rm -rf "$directory"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Its only line says that all of it listens, and where.
mkfifo "$directory/ready"
azwi-emulator serve --dir "$directory" --entra-address=127.0.0.1:0 --issuer-address=127.0.0.1:0 \
  --control-address=127.0.0.1:0 >"$directory/ready" 2>"$directory/emulator.log" &
running=$!
read -r ready <"$directory/ready"
authority=$(echo "$ready" | sed 's/^{"authority":"\([^"]*\)".*/\1/')
azwi-emulator token --dir "$directory" --subject system:serviceaccount:default:demo --output "$directory/token"

AZURE_AUTHORITY_HOST=$authority AZURE_FEDERATED_TOKEN_FILE=$directory/token \
  AZURE_TENANT_ID=11111111-1111-4111-8111-111111111111 AZURE_CLIENT_ID=22222222-2222-4222-8222-222222222222 \
  azwi-proxy --proxy-port="$port" --ca-file="$directory/ca.crt" 2>"$directory/proxy.log" >/dev/null &
proxy=$!
running="$running $proxy"
# Not by --probe: another sidecar on that port would answer it.
until grep -q '"listening"' "$directory/proxy.log"; do
  kill -0 "$proxy" 2>/dev/null || exit 1
  sleep 0.1
done

# What SDKs follow that knew AAD Pod Identity; docs/no-redirect.md says which.
export AZURE_POD_IDENTITY_AUTHORITY_HOST="http://127.0.0.1:$port"
if [ $# -gt 0 ]; then
  "$@"
else
  curl --silent --show-error --fail --header Metadata:true \
    "http://127.0.0.1:$port/metadata/identity/oauth2/token?resource=https://vault.azure.net"
fi
