// Package definitions names what the module is for: the modules that hold the types or files of the definitions that
// tools/definitions.sh writes. A module that no import names does not stay in go.mod.
package definitions

import (
	_ "github.com/argoproj/argo-cd/v3/assets"
	_ "github.com/fluxcd/helm-controller/api/v2"
	_ "github.com/fluxcd/kustomize-controller/api/v1"
	_ "github.com/fluxcd/source-controller/api/v1"
	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)
