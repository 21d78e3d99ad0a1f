package fakeec2

import (
	"bytes"
	"encoding/xml"
	"maps"
	"slices"
	"strconv"
)

const requestID = "00000000-0000-4000-8000-000000000000"

// answer is the inside of a response, as it grows.
type answer struct{ b bytes.Buffer }

// text adds an element, if there is something in it.
func (a *answer) text(name, value string) {
	if value == "" {
		return
	}
	a.b.WriteString("<" + name + ">")
	_ = xml.EscapeText(&a.b, []byte(value)) // a buffer takes everything
	a.b.WriteString("</" + name + ">")
}

func (a *answer) number(name string, n int) { a.text(name, strconv.Itoa(n)) }
func (a *answer) truth(name string, b bool) { a.text(name, strconv.FormatBool(b)) }

// in adds an element with elements in it.
func (a *answer) in(name string, inside func()) {
	a.b.WriteString("<" + name + ">")
	inside()
	a.b.WriteString("</" + name + ">")
}

// list adds a set with an item for each of the values.
func list[T any](a *answer, name string, values []T, item func(T)) {
	a.in(name, func() {
		for _, v := range values {
			a.in("item", func() { item(v) })
		}
	})
}

func (a *answer) tags(tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	list(a, "tagSet", slices.Sorted(maps.Keys(tags)), func(key string) {
		a.text("key", key)
		a.in("value", func() { _ = xml.EscapeText(&a.b, []byte(tags[key])) })
	})
}

// finish gives the whole response.
func (a *answer) finish(action string) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString("<" + action + `Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>` + requestID + "</requestId>")
	b.Write(a.b.Bytes())
	b.WriteString("</" + action + "Response>")
	return b.Bytes()
}
