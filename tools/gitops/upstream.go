package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// healthTests is Argo CD's health_test.yaml.
type healthTests struct {
	Tests []struct {
		InputPath    string `json:"inputPath"`
		HealthStatus health `json:"healthStatus"`
	} `json:"tests"`
}

// actionTests is Argo CD's action_test.yaml.
type actionTests struct {
	DiscoveryTests []struct {
		InputPath string   `json:"inputPath"`
		Result    []action `json:"result"`
	} `json:"discoveryTests"`
	ActionTests []struct {
		Action             string `json:"action"`
		InputPath          string `json:"inputPath"`
		ExpectedOutputPath string `json:"expectedOutputPath"`
	} `json:"actionTests"`
}

// theTime is what Argo CD's tests put in the place of a time that an action takes from the clock.
const theTime = "0001-01-01T00:00:00Z"

// runTests runs them as Argo CD does: status and message are the same to the letter. Besides, every script and every
// file in testdata has to be used, and an action that is offered has to be tested.
func runTests(argo customizations, out io.Writer) error {
	var problems []error
	count := 0
	check := func(where string, err error) {
		count++
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", where, err))
		}
	}
	used := map[string]bool{}
	err := filepath.WalkDir(string(argo), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		directory := filepath.Dir(path)
		read := func(name string) (*unstructured.Unstructured, error) {
			used[filepath.Join(directory, name)] = true
			return readObject(filepath.Join(directory, name))
		}
		switch entry.Name() {
		case "health_test.yaml":
			var tests healthTests
			if err := readYAML(path, &tests); err != nil {
				return err
			}
			used[filepath.Join(directory, "health.lua")] = len(tests.Tests) > 0
			for _, test := range tests.Tests {
				object, err := read(test.InputPath)
				if err != nil {
					return err
				}
				said, err := argo.health(object)
				if err == nil && said != test.HealthStatus {
					err = fmt.Errorf("%+v, and expected is %+v", said, test.HealthStatus)
				}
				check(filepath.Join(directory, test.InputPath), err)
			}
		case "action_test.yaml":
			var tests actionTests
			if err := readYAML(path, &tests); err != nil {
				return err
			}
			used[filepath.Join(directory, "discovery.lua")] = len(tests.DiscoveryTests) > 0
			for _, test := range tests.DiscoveryTests {
				object, err := read(test.InputPath)
				if err != nil {
					return err
				}
				offered, err := argo.actions(object)
				if err == nil && !reflect.DeepEqual(offered, test.Result) {
					err = fmt.Errorf("%+v, and expected is %+v (in the order of the names)", offered, test.Result)
				}
				check(filepath.Join(directory, test.InputPath), err)
			}
			for _, test := range tests.ActionTests {
				used[filepath.Join(directory, test.Action, "action.lua")] = true
				object, err := read(test.InputPath)
				if err != nil {
					return err
				}
				expected, err := read(test.ExpectedOutputPath)
				if err != nil {
					return err
				}
				check(filepath.Join(directory, test.ExpectedOutputPath), compare(argo, object, expected, test.Action))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = filepath.WalkDir(string(argo), func(path string, entry fs.DirEntry, err error) error {
		needed := filepath.Ext(path) == ".lua" || filepath.Base(filepath.Dir(path)) == "testdata"
		if err == nil && !entry.IsDir() && needed && !used[path] {
			problems = append(problems, errors.New(path+" is used by no test"))
		}
		return err
	})
	fmt.Fprintf(out, "%d tests\n", count)
	return errors.Join(append(problems, err)...)
}

// compare holds what an action makes of an object against what is expected. Where a time is expected, any that is now
// will do.
func compare(argo customizations, object, expected *unstructured.Unstructured, name string) error {
	changed, err := argo.act(object, name)
	if err != nil {
		return err
	}
	annotations, _, err := unstructured.NestedStringMap(changed, "metadata", "annotations")
	if err != nil {
		return err
	}
	for key, value := range expected.GetAnnotations() {
		if value != theTime {
			continue
		}
		at, err := time.Parse(time.RFC3339, annotations[key])
		if err != nil {
			return err
		}
		if age := time.Since(at); age < -time.Minute || age > time.Minute || !strings.HasSuffix(annotations[key], "Z") {
			return fmt.Errorf("%s is not now, in UTC: %s", key, annotations[key])
		}
		annotations[key] = theTime
	}
	if err := unstructured.SetNestedStringMap(changed, annotations, "metadata", "annotations"); err != nil {
		return err
	}
	is, err := json.Marshal(changed)
	if err != nil {
		return err
	}
	should, err := json.Marshal(expected.Object)
	if err != nil {
		return err
	}
	if string(is) != string(should) {
		return fmt.Errorf("%s made\n%s\nand expected is\n%s", name, is, should)
	}
	return nil
}

func readYAML(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func readObject(file string) (*unstructured.Unstructured, error) {
	object := map[string]any{}
	err := readYAML(file, &object)
	return &unstructured.Unstructured{Object: object}, err
}
