// Package stream puts one direction of a TCP connection back in order, within
// bounds: what comes in order is handed on without a copy, what comes early
// waits. It says what is missing instead of waiting for ever.
package stream
