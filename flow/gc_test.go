package flow

import "runtime/debug"

// Tests make much that lives shortly beside little that stays: by default most of their
// time is the garbage collector's.
func init() { debug.SetGCPercent(800) }
