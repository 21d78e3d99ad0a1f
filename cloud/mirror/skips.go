package mirror

// Skips is what AWS left out at an instance because it had no room for copies, in
// the last minutes (CloudWatch, NetworkPacketsSkipMirrorIn and …Out): the loss of
// the mirror itself, which no sensor sees.
type Skips struct {
	PacketsIn  int64 `json:"packets_in"`
	PacketsOut int64 `json:"packets_out"`
	BytesIn    int64 `json:"bytes_in"`
	BytesOut   int64 `json:"bytes_out"`
}
