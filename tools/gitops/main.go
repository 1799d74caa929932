// What GitOps controllers make of Kubernetes objects, by the libraries that they run themselves: Argo CD's Lua
// (gopher-lua), kstatus (Flux's fork of cli-utils) and Flux's healthCheckExprs (its own evaluator over cel-go).
//
//	gitops -argo DIR -flux FILE      objects on stdin, one as JSON a line; for each, its verdicts as JSON on a line
//	gitops -argo DIR -test           runs health_test.yaml and action_test.yaml below DIR as Argo CD does
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// verdict is what is said of one object.
type verdict struct {
	Argo        string   `json:"argo"`
	ArgoMessage string   `json:"argoMessage"`
	Actions     []string `json:"actions"`
	Kstatus     string   `json:"kstatus"`
	Flux        string   `json:"flux"`
	Problems    []string `json:"problems"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	argo := flag.String("argo", "", "the directory with a directory per API group, as resource_customizations of Argo CD")
	expressions := flag.String("flux", "", "the file with the list of healthCheckExprs")
	test := flag.Bool("test", false, "run Argo CD's own tests of the customizations")
	flag.Parse()
	if *test {
		return runTests(customizations(*argo), out)
	}
	checks, err := readChecks(*expressions)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	printer := json.NewEncoder(out)
	printer.SetEscapeHTML(false)
	for lines.Scan() {
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return fmt.Errorf("%w in: %s", err, lines.Text())
		}
		if err := printer.Encode(judge(customizations(*argo), checks, &object)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// judge asks all of them. What fails is said, and is Unknown, as it is for the controllers.
func judge(argo customizations, checks healthChecks, object *unstructured.Unstructured) verdict {
	said := verdict{Argo: unknown, Kstatus: unknown, Flux: unknown, Actions: []string{}, Problems: []string{}}
	problem := func(err error) {
		if err != nil {
			said.Problems = append(said.Problems, err.Error())
		}
	}
	health, err := argo.health(object)
	problem(err)
	if err == nil {
		said.Argo, said.ArgoMessage = health.Status, health.Message
	}
	actions, err := argo.actions(object)
	problem(err)
	for _, action := range actions {
		if !action.Disabled {
			said.Actions = append(said.Actions, action.Name)
		}
	}
	computed, err := status.Compute(object)
	problem(err)
	if err == nil {
		said.Kstatus = computed.Status.String()
	}
	evaluator, found := checks[object.GroupVersionKind().GroupKind()]
	if !found {
		problem(errors.New("no healthCheckExprs for " + object.GroupVersionKind().String()))
		return said
	}
	evaluated, err := evaluator.Evaluate(context.Background(), object)
	problem(err)
	if err == nil {
		said.Flux = evaluated.Status.String()
	}
	return said
}
