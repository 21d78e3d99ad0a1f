package viewjson

import (
	"mirrorscope/edge"
	"mirrorscope/enrich"
	"mirrorscope/flow"
)

// tags of one side: a text for each key, or a list where there are several.
type tags map[string]any

// Name has conversations tell the tags of both ends, as of their start. It is called
// before anything is written.
func (w *Writer) Name(n *enrich.Namer) { w.namer = n }

// tags adds those of a conversation.
func (o *conversation) tags(w *Writer, c *edge.Conversation) {
	if w.namer == nil {
		return
	}
	ends := [2]flow.Endpoint{
		{Addr: c.Client, Name: c.Names[flow.Client]}, {Addr: c.Server, Port: c.Port, HasPort: c.HasPort, Name: c.Names[flow.Server]},
	}
	both := w.namer.Ends(c.Network, c.Proto, &ends, c.Name(), c.First)
	o.ClientTags, o.ServerTags = tagsOf(both[flow.Client]), tagsOf(both[flow.Server])
}

func tagsOf(t *enrich.Tags) tags {
	if t.Len() == 0 {
		return nil
	}
	all := tags{}
	for group := range t.Groups() {
		key := clean(group[0].Key)
		if len(group) == 1 {
			all[key] = clean(group[0].Value)
			continue
		}
		var several []string
		for _, one := range group {
			several = append(several, clean(one.Value))
		}
		all[key] = several
	}
	return all
}
