package jsonl

import (
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/path"
)

// maxTagTexts bounds the sets of tags of which the text is kept.
const maxTagTexts = 1 << 16

// Name has the records that follow tell the tags of both ends. A Namer belongs to
// the goroutine of its Encoder.
func (e *Encoder) Name(n *enrich.Namer) { e.namer, e.tagTexts = n, map[*enrich.Tags][]byte{} }

// Name is that of the Encoder.
func (w *Writer) Name(n *enrich.Namer) { w.enc.Name(n) }

// recordTags adds the tags of the ends of a record.
func (e *Encoder) recordTags(dst []byte, r *flow.Record) []byte {
	named := e.namer.Record(r)
	return e.tags(dst, &named.Tags)
}

// pathTags adds those of a path, at the time when the connection began.
func (e *Encoder) pathTags(dst []byte, c *path.Connection) []byte {
	tags := e.namer.Ends(c.Network, c.Proto, &c.Ends, "", c.Start)
	return e.tags(dst, &tags)
}

func (e *Encoder) tags(dst []byte, tags *[2]*enrich.Tags) []byte {
	if t := tags[flow.Client]; t.Len() > 0 {
		dst = append(append(dst, `,"client_tags":`...), e.tagText(t)...)
	}
	if t := tags[flow.Server]; t.Len() > 0 {
		dst = append(append(dst, `,"server_tags":`...), e.tagText(t)...)
	}
	return dst
}

// tagText is an object with the keys in order: a string where a key has one value,
// else an array.
func (e *Encoder) tagText(t *enrich.Tags) []byte {
	if text, ok := e.tagTexts[t]; ok {
		return text
	}
	if len(e.tagTexts) >= maxTagTexts {
		clear(e.tagTexts)
	}
	dst := []byte{'{'}
	for group := range t.Groups() {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, group[0].Key), ':')
		if len(group) == 1 {
			dst = appendString(dst, group[0].Value)
			continue
		}
		for i := range group {
			if i == 0 {
				dst = append(dst, '[')
			} else {
				dst = append(dst, ',')
			}
			dst = appendString(dst, group[i].Value)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, '}')
	e.tagTexts[t] = dst
	return dst
}
