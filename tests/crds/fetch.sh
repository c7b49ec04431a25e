#!/bin/sh
# Fetches, as Go modules, the definitions of objects of others that the chart may have: cert-manager's and the Prometheus
# operator's. Go's checksum database vouches for them.
set -eu

fetch() {
  go mod download "$1"
  cp "$(go env GOMODCACHE)/$1/$2" .
}

fetch github.com/cert-manager/cert-manager@v1.21.2 deploy/crds/cert-manager.io_certificates.yaml
fetch github.com/cert-manager/cert-manager@v1.21.2 deploy/crds/cert-manager.io_issuers.yaml
fetch github.com/prometheus-operator/prometheus-operator@v0.85.0 \
  example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml
