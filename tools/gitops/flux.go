package main

import (
	"fmt"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// healthChecks are Flux's evaluators, by kind.
type healthChecks map[schema.GroupKind]*cel.StatusEvaluator

// readChecks reads a list as it stands in spec.healthCheckExprs of a Kustomization.
func readChecks(file string) (healthChecks, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []kustomize.CustomHealthCheck
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	checks := healthChecks{}
	for _, check := range list {
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, check.Kind, err)
		}
		checks[schema.FromAPIVersionAndKind(check.APIVersion, check.Kind).GroupKind()] = evaluator
	}
	return checks, nil
}
