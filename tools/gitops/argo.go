package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

const unknown = "Unknown"

// customizations is a directory with GROUP/KIND/health.lua and GROUP/KIND/actions.
type customizations string

// health is what health.lua returns.
type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// action is one that discovery.lua offers.
type action struct {
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
}

// of is where the scripts for an object's kind are.
func (c customizations) of(object *unstructured.Unstructured) string {
	kind := object.GroupVersionKind()
	return filepath.Join(string(c), kind.Group, kind.Kind)
}

func (c customizations) health(object *unstructured.Unstructured) (health, error) {
	var said health
	text, err := c.call(object, "health.lua")
	if err != nil {
		return said, err
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return said, err
	}
	if !slices.Contains([]string{unknown, "Progressing", "Suspended", "Healthy", "Degraded", "Missing"}, said.Status) {
		return said, fmt.Errorf("%q is no status of Argo CD's", said.Status)
	}
	return said, nil
}

// actions are those that are offered for an object, in the order of their names. Not every kind has some.
func (c customizations) actions(object *unstructured.Unstructured) ([]action, error) {
	text, err := c.call(object, "actions/discovery.lua")
	if errors.Is(err, fs.ErrNotExist) || string(text) == "[]" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	offered := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &offered); err != nil {
		return nil, err
	}
	actions := []action{}
	for name, how := range offered {
		one := action{Name: name}
		// An empty table of Lua's is an array.
		if string(how) != "[]" {
			if err := json.Unmarshal(how, &one); err != nil {
				return nil, err
			}
		}
		if _, err := os.Stat(filepath.Join(c.of(object), "actions", name, "action.lua")); err != nil {
			return nil, err
		}
		actions = append(actions, one)
	}
	slices.SortFunc(actions, func(a, b action) int { return strings.Compare(a.Name, b.Name) })
	return actions, nil
}

// act is the object as an action leaves it.
func (c customizations) act(object *unstructured.Unstructured, name string) (map[string]any, error) {
	text, err := c.call(object, filepath.Join("actions", name, "action.lua"))
	if err != nil {
		return nil, err
	}
	var changed map[string]any
	if err := json.Unmarshal(text, &changed); err != nil {
		return nil, err
	}
	return mended(changed, object.Object).(map[string]any), nil
}

// mended makes maps again of those that were empty: Lua has one type for maps and arrays.
func mended(now, before any) any {
	switch now := now.(type) {
	case map[string]any:
		if before, ok := before.(map[string]any); ok {
			for key := range now {
				now[key] = mended(now[key], before[key])
			}
		}
	case []any:
		if before, ok := before.(map[string]any); ok && len(now) == 0 {
			return before
		}
		if before, ok := before.([]any); ok {
			for i := range min(len(now), len(before)) {
				now[i] = mended(now[i], before[i])
			}
		}
	}
	return now
}

// call runs a script for an object; the table that it returns, as JSON.
func (c customizations) call(object *unstructured.Unstructured, script string) ([]byte, error) {
	file := filepath.Join(c.of(object), script)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	if err := open(state); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	whole, err := json.Marshal(object.Object)
	if err != nil {
		return nil, err
	}
	value, err := luajson.Decode(state, whole)
	if err != nil {
		return nil, err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return nil, fmt.Errorf("%s returned %s, not a table", file, returned.Type())
	}
	return luajson.Encode(returned)
}

// open gives a script what Argo CD gives to one from its ConfigMap, and no more: the base, table and package
// libraries, and of os what require("os") finds: time and date. There is no string library.
func open(state *lua.LState) error {
	for name, library := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		call := lua.P{Fn: state.NewFunction(library), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return err
		}
	}
	whole := lua.NewState()
	defer whole.Close()
	functions := map[string]lua.LGFunction{}
	for _, name := range []string{"time", "date"} {
		function, ok := whole.GetField(whole.GetGlobal(lua.OsLibName), name).(*lua.LFunction)
		if !ok {
			return fmt.Errorf("gopher-lua has no os.%s", name)
		}
		functions[name] = function.GFunction
	}
	state.PreloadModule(lua.OsLibName, func(state *lua.LState) int {
		state.Push(state.SetFuncs(state.NewTable(), functions))
		return 1
	})
	return nil
}
