package csv

import (
	"cmp"

	"mirrorscope/enrich"
	"mirrorscope/flow"
)

// tagColumns are there where tags are configured.
var tagColumns = []column{
	serviceColumn(flow.Client), serviceColumn(flow.Server),
	tagsColumn(flow.Client), tagsColumn(flow.Server),
}

// serviceColumn names the service, N/A where it is not known.
func serviceColumn(side flow.Side) column {
	return text(side.String()+"_service", func(r *row) string { return cmp.Or(r.tags[side].Get(enrich.KeyService), enrich.Unresolved) })
}

// tagsColumn lists all tags of a side as key=value. No key has an equals sign.
func tagsColumn(side flow.Side) column {
	return column{side.String() + "_tags", func(dst []byte, r *row) []byte {
		start, quote := len(dst), false
		dst = append(dst, '"')
		for t := range r.tags[side].All() {
			var q bool
			dst, q = escape(separate(dst, len(dst) > start+1), t.Key, true)
			quote = quote || q
			dst, q = escape(append(dst, '='), t.Value, true)
			quote = quote || q
		}
		return quoted(dst, start, quote)
	}}
}
