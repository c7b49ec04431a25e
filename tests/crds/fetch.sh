#!/bin/sh
# Fetches, as Go modules, the definitions of objects of others: those that the chart may have, of cert-manager and the
# Prometheus operator, and AAD Pod Identity's, which people come from. Go's checksum database vouches for them.
set -eu

# Of a module the file, as it is called there or by another name.
fetch() {
  directory=$(go mod download -json "$1" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p')
  cp "$directory/$2" "./${3:-}"
}

fetch github.com/Azure/aad-pod-identity@v1.8.17 charts/aad-pod-identity/crds/crd.yaml aad-pod-identity.yaml
fetch github.com/cert-manager/cert-manager@v1.21.2 deploy/crds/cert-manager.io_certificates.yaml
fetch github.com/cert-manager/cert-manager@v1.21.2 deploy/crds/cert-manager.io_issuers.yaml
fetch github.com/prometheus-operator/prometheus-operator@v0.85.0 \
  example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml
