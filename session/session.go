// Package session follows what the two ends of a flow say to each other: which
// protocol they speak, the TLS handshake, requests and responses, and how the
// time of the connection divides among them.
package session
