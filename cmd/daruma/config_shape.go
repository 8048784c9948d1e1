package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/daruma-run/daruma"
)

// syntax gives an error of the YAML library file and line.
func (c *config) syntax(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		return daruma.Fail("config", daruma.KindInvalid, "%s:%d: %s", c.file, e.GetToken().Position.Line, e.GetMessage())
	}
	return daruma.Fail("config", daruma.KindInvalid, "%s: %s", c.file, yaml.FormatError(err, false, true))
}

// shape refuses keys that the type has no field for, and values of another
// type than the field's, before the library sees them: it would not say which
// key it means, and takes 5.5 for 5. Aliases are left to the library.
func (c *config) shape(n ast.Node, t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch node := n.(type) {
	case *ast.AnchorNode:
		return c.shape(node.Value, t, path)
	case *ast.TagNode, *ast.AliasNode, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		if t.Kind() != reflect.Map && t.Kind() != reflect.Struct {
			break
		}
		for _, value := range node.Values {
			if err := c.key(value, t, path); err != nil {
				return err
			}
		}
		return nil
	case *ast.MappingValueNode:
		if t.Kind() != reflect.Map && t.Kind() != reflect.Struct {
			break
		}
		return c.key(node, t, path)
	case *ast.SequenceNode:
		if t.Kind() != reflect.Slice {
			break
		}
		for i, value := range node.Values {
			if err := c.shape(value, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if t.Kind() == reflect.Interface || fits(n, t) {
		return nil
	}
	if path == "" {
		path = "the file"
	}
	return daruma.Fail("config", daruma.KindInvalid, "%s:%d: %s: %s; accepted: %s", c.file, lineOf(n), path, given(n), accepted(t))
}

// key checks one key of a mapping and the value behind it.
func (c *config) key(v *ast.MappingValueNode, t reflect.Type, path string) error {
	key := v.Key.GetToken().Value
	at := strings.TrimPrefix(path+"."+key, ".")
	if t.Kind() == reflect.Map {
		return c.shape(v.Value, t.Elem(), at)
	}
	var keys []string
	for f := range t.Fields() {
		tag := f.Tag.Get("yaml")
		if tag == "" {
			continue
		}
		if tag == key {
			return c.shape(v.Value, f.Type, at)
		}
		keys = append(keys, tag)
	}
	slices.Sort(keys)
	return daruma.Fail("config", daruma.KindInvalid, "%s:%d: key %q is unknown; accepted: %s",
		c.file, v.Key.GetToken().Position.Line, at, strings.Join(keys, ", "))
}

// fits reports whether a scalar can be a value of a type. Numbers are text
// too: a model may be called 4.
func fits(n ast.Node, t reflect.Type) bool {
	switch n := n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return t.Kind() == reflect.String
	case *ast.BoolNode:
		return t.Kind() == reflect.Bool
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return t.Kind() == reflect.Float64 || t.Kind() == reflect.String
	case *ast.IntegerNode:
		switch t.Kind() {
		case reflect.Int, reflect.Int64:
			value, err := strconv.ParseInt(fmt.Sprint(n.Value), 10, 64)
			return err == nil && value >= math.MinInt && value <= math.MaxInt
		case reflect.Float64, reflect.String:
			return true
		}
	}
	return false
}

// given shows the value that was written.
func given(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return strconv.Quote(short(n.Value))
	case *ast.LiteralNode:
		return strconv.Quote(short(n.Value.Value))
	}
	return short(n.GetToken().Value)
}

// accepted says what a type takes.
func accepted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		var keys []string
		for f := range t.Fields() {
			if tag := f.Tag.Get("yaml"); tag != "" {
				keys = append(keys, tag)
			}
		}
		slices.Sort(keys)
		return "a mapping with keys of " + strings.Join(keys, ", ")
	case reflect.Map:
		return "names with values behind them"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return "a list, such as [a, b]"
		}
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "text"
}

// lineOf returns the line on which a value begins.
func lineOf(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key
	} else if v, ok := n.(*ast.MappingValueNode); ok {
		n = v.Key
	}
	return n.GetToken().Position.Line
}
