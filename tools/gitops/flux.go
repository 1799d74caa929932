package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	helm "github.com/fluxcd/helm-controller/api/v2"
	kustomization "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	source "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	documents "k8s.io/apimachinery/pkg/util/yaml"
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

// decodeAll reads files by the types that Flux has for their kinds.
func decodeAll(files []string, out io.Writer) error {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		reader := documents.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
		for {
			document, err := nextDocument(reader)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			kind, err := decodeOne(document)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			fmt.Fprintln(out, kind)
		}
	}
	return nil
}

// nextDocument is the next document of a file, however long.
func nextDocument(reader io.Reader) ([]byte, error) {
	document := make([]byte, 1<<20)
	n, err := reader.Read(document)
	return document[:n], err
}

func decodeOne(document []byte) (string, error) {
	var meta struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return "", err
	}
	kinds := map[string]any{
		"Kustomization":  &kustomization.Kustomization{},
		"HelmRelease":    &helm.HelmRelease{},
		"GitRepository":  &source.GitRepository{},
		"OCIRepository":  &source.OCIRepository{},
		"HelmRepository": &source.HelmRepository{},
	}
	into, found := kinds[meta.Kind]
	if !found {
		return "", fmt.Errorf("%q is no kind of Flux's that is used here", meta.Kind)
	}
	return meta.Kind, yaml.UnmarshalStrict(document, into)
}
