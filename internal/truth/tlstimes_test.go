package truth

import (
	"fmt"
	"slices"
	"testing"
)

// TestTLSTimes compares how long handshakes took with the times of frames: from
// the ClientHello to the later ChangeCipherSpec, which the Finished follows at
// once, or in TLS 1.3 to the client's first encrypted record, which is its
// Finished unless there is early data or a certificate of the client.
func TestTLSTimes(t *testing.T) {
	var h hearing
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		number := map[pair]int{}
		for _, s := range tr.streams() {
			number[pairOf(s.client(), s.server())]++
		}
		cs := replay(t, path).connections
		for _, s := range tr.streams() {
			p := pairOf(s.client(), s.server())
			if s.TLSTimes == nil || number[p] != 1 {
				continue
			}
			for _, c := range cs {
				if c.Protocol != "tcp" || pairOf(c.Client, c.Server) != p {
					continue
				}
				ours := saidIn(t, c, "tls")
				if ours == nil || ours.Outcome != "completed" || ours.Handshake.Total == nil {
					continue
				}
				version := text(ours.Version)
				want, ok := handshakeTime(s.TLSTimes, version, ours)
				got := *ours.Handshake.Total
				st := statement{field: "handshake of TLS " + version, missing: !ok, theirs: fmt.Sprintf("%.0f µs", want), ours: fmt.Sprintf("%.0f µs", got)}
				if near(&got, want) {
					st.ours = st.theirs
				}
				h.hear(t, "frames", name, p.String(), []statement{st})
			}
		}
	})
	h.end(t, "frames")
}

// handshakeTime gives the duration in µs; ok is false where the frames do not
// tell it.
func handshakeTime(at map[string]stamp, version string, s *said) (us float64, ok bool) {
	start, ok := at["client_hello"]
	if !ok {
		return 0, false
	}
	var end stamp
	if slices.Contains([]string{"ssl3", "1.0", "1.1", "1.2"}, version) {
		client, okClient := at["change_cipher_spec_client"]
		server, okServer := at["change_cipher_spec_server"]
		end, ok = max(client, server), okClient && okServer
	} else {
		end, ok = at["application_data_client"]
		ok = ok && s.EarlyData == "none" && s.ClientCertificate != nil && !*s.ClientCertificate
	}
	return float64(end-start) / 1e3, ok && end > start
}
