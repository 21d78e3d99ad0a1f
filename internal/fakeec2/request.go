package fakeec2

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is a call and what it works on.
type request struct {
	*State
	params url.Values
	now    time.Time
}

func (r *request) get(name string) string { return r.params.Get(name) }
func (r *request) has(name string) bool   { return r.params.Has(name) }

// need gives a parameter that must be there.
func (r *request) need(name string) (string, *Error) {
	v := r.get(name)
	if v == "" {
		return "", bad("MissingParameter", "The request must contain the parameter "+name)
	}
	return v, nil
}

// number gives a parameter between low and high; without it, absent.
func (r *request) number(name string, low, high, absent int) (int, *Error) {
	if !r.has(name) {
		return absent, nil
	}
	n, err := strconv.Atoi(r.get(name))
	if err != nil || n < low || n > high {
		return 0, bad("InvalidParameterValue", fmt.Sprintf("Value (%s) for parameter %s is invalid. It must be between %d and %d.", r.get(name), name, low, high))
	}
	return n, nil
}

// values gives a list: Name.1, Name.2, …
func (r *request) values(name string) (all []string) {
	for i := 1; r.has(name + "." + strconv.Itoa(i)); i++ {
		all = append(all, r.get(name+"."+strconv.Itoa(i)))
	}
	return all
}

// tagsOnCreate gives those for a resource of this type.
func (r *request) tagsOnCreate(resource string) (map[string]string, *Error) {
	tags := map[string]string{}
	for i := 1; ; i++ {
		spec := "TagSpecification." + strconv.Itoa(i)
		kind := r.get(spec + ".ResourceType")
		if kind == "" {
			return tags, nil
		}
		if kind != resource {
			return nil, bad("InvalidParameterValue", "'"+kind+"' is not a valid taggable resource type for this operation.")
		}
		if err := r.tags(spec+".Tag", tags); err != nil {
			return nil, err
		}
	}
}

// tags adds the tags of a list to a set.
func (r *request) tags(list string, to map[string]string) *Error {
	for i := 1; ; i++ {
		tag := list + "." + strconv.Itoa(i)
		if !r.has(tag + ".Key") {
			break
		}
		key := r.get(tag + ".Key")
		if key == "" || strings.HasPrefix(key, "aws:") {
			return bad("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		}
		to[key] = r.get(tag + ".Value")
	}
	if len(to) > 50 {
		return bad("TagLimitExceeded", "More than 50 tags")
	}
	return nil
}

// kind is what a list is of.
type kind[T any] struct {
	ids      string // parameter with those that are asked for
	notFound string // error code
	set      string // element
	least    int    // smallest MaxResults
	most     int    // and largest; without it a page has as many
	id       func(T) string
	tags     func(T) map[string]string
	// attribute gives the values that a filter of this name is compared with;
	// false: there is no such filter.
	attribute func(T, string) ([]string, bool)
	write     func(T)
}

// describe answers with a page of those in all that are asked for. The pages go
// by id, so that what comes or goes between two of them changes nothing else.
func describe[T any](r *request, a *answer, all map[string]T, k kind[T]) *Error {
	items, e := selected(r, all, k)
	if e != nil {
		return e
	}
	size, e := r.number("MaxResults", k.least, k.most, k.most)
	if e != nil {
		return e
	}
	if r.has("MaxResults") && r.has(k.ids+".1") {
		return bad("InvalidParameterCombination", "The parameter "+k.ids+" cannot be used with the parameter maxResults")
	}
	if token := r.get("NextToken"); token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(last) == 0 {
			return bad("InvalidNextToken", "The token '"+token+"' is invalid")
		}
		items = slices.DeleteFunc(items, func(v T) bool { return k.id(v) <= string(last) })
	}
	next := ""
	if len(items) > size {
		items = items[:size]
		next = base64.RawURLEncoding.EncodeToString([]byte(k.id(items[size-1])))
	}
	list(a, k.set, items, k.write)
	a.text("nextToken", next)
	return nil
}

// selected gives those that are asked for by id and by filters, by id.
func selected[T any](r *request, all map[string]T, k kind[T]) (items []T, e *Error) {
	if ids := r.values(k.ids); len(ids) > 0 {
		for _, id := range ids {
			v, ok := all[id]
			if !ok {
				return nil, bad(k.notFound, "The id '"+id+"' does not exist")
			}
			items = append(items, v)
		}
	} else {
		for _, v := range all {
			items = append(items, v)
		}
	}
	for i := 1; ; i++ {
		filter := "Filter." + strconv.Itoa(i)
		name := r.get(filter + ".Name")
		if name == "" {
			break
		}
		want := r.values(filter + ".Value")
		if len(want) == 0 {
			return nil, bad("InvalidParameterValue", "The filter '"+name+"' has no value")
		}
		unknown := false
		items = slices.DeleteFunc(items, func(v T) bool {
			have, ok := attribute(v, name, k)
			unknown = unknown || !ok
			return !anyMatches(want, have)
		})
		if unknown {
			return nil, bad("InvalidParameterValue", "The filter '"+name+"' is invalid")
		}
	}
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(k.id(a), k.id(b)) })
	return items, nil
}

func attribute[T any](v T, name string, k kind[T]) ([]string, bool) {
	if key, ok := strings.CutPrefix(name, "tag:"); ok {
		if value, ok := k.tags(v)[key]; ok {
			return []string{value}, true
		}
		return nil, true
	}
	if name == "tag-key" {
		var keys []string
		for key := range k.tags(v) {
			keys = append(keys, key)
		}
		return keys, true
	}
	return k.attribute(v, name)
}

// anyMatches compares as filters do: * is any text, ? any character.
func anyMatches(patterns, values []string) bool {
	for _, p := range patterns {
		for _, v := range values {
			// A slash is nothing special in a filter, a bracket neither.
			plain := strings.NewReplacer("/", "\x00", "[", "\x01")
			if ok, err := path.Match(plain.Replace(p), plain.Replace(v)); ok && err == nil {
				return true
			}
		}
	}
	return false
}
