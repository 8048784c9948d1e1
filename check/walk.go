package check

import (
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// walk indexes every schema that can be reached and returns the location of
// one that applies to the same value over and over, or "".
func (s *Schema) walk(root *jsonschema.Schema) (loop string) {
	todo := []*jsonschema.Schema{root}
	for len(todo) > 0 {
		sch := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if sch == nil || s.index[sch.Location] != nil {
			continue
		}
		s.index[sch.Location] = sch
		todo = append(append(todo, inPlace(sch)...), below(sch)...)
	}
	seen := map[*jsonschema.Schema]int{}
	for _, location := range slices.Sorted(maps.Keys(s.index)) {
		if loop := loops(s.index[location], seen); loop != "" {
			return loop
		}
	}
	return ""
}

const (
	onPath = 1
	done   = 2
)

// loops follows the schemas that apply to the same value, depth first.
func loops(sch *jsonschema.Schema, seen map[*jsonschema.Schema]int) string {
	switch seen[sch] {
	case onPath:
		return sch.Location
	case done:
		return ""
	}
	seen[sch] = onPath
	for _, next := range inPlace(sch) {
		if next != nil {
			if loop := loops(next, seen); loop != "" {
				return loop
			}
		}
	}
	seen[sch] = done
	return ""
}

// inPlace returns the schemas that sch applies to the value it is applied to.
// A dynamic reference counts as its static target.
func inPlace(sch *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{sch.Ref, sch.RecursiveRef, sch.Not, sch.If, sch.Then, sch.Else}
	if sch.DynamicRef != nil {
		all = append(all, sch.DynamicRef.Ref)
	}
	all = slices.Concat(all, sch.AllOf, sch.AnyOf, sch.OneOf)
	all = slices.AppendSeq(all, maps.Values(sch.DependentSchemas))
	for _, d := range sch.Dependencies {
		if d, ok := d.(*jsonschema.Schema); ok {
			all = append(all, d)
		}
	}
	return all
}

// below returns the schemas that sch applies to parts of the value.
func below(sch *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{
		sch.PropertyNames, sch.UnevaluatedProperties, sch.Contains,
		sch.Items2020, sch.UnevaluatedItems, sch.ContentSchema,
	}
	for _, either := range []any{sch.AdditionalProperties, sch.Items, sch.AdditionalItems} {
		switch either := either.(type) {
		case *jsonschema.Schema:
			all = append(all, either)
		case []*jsonschema.Schema:
			all = append(all, either...)
		}
	}
	all = append(all, sch.PrefixItems...)
	all = slices.AppendSeq(all, maps.Values(sch.Properties))
	return slices.AppendSeq(all, maps.Values(sch.PatternProperties))
}
