package tlsmeta

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorscope/internal/needs"
)

// spool keeps what passes through the server's end of a connection, in order.
type spool struct {
	net.Conn
	lock sync.Mutex
	list []said
}

func (c *spool) keep(dir int, b []byte) {
	c.lock.Lock()
	c.list = append(c.list, said{dir, string(b)})
	c.lock.Unlock()
}

func (c *spool) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.keep(0, b[:n])
	}
	return n, err
}

func (c *spool) Write(b []byte) (int, error) {
	if len(b) > 0 {
		c.keep(1, b)
	}
	return c.Conn.Write(b)
}

// TestSTARTTLSOpenSSL has s_client ask for TLS in each protocol that it knows.
func TestSTARTTLSOpenSSL(t *testing.T) {
	program := needs.Tool(t, "openssl")
	cert := certificate(t)
	lines := func(greeting string, replies ...string) func(io.ReadWriter) bool {
		return func(c io.ReadWriter) bool {
			io.WriteString(c, greeting)
			r := bufio.NewReader(c)
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return false
				}
				tag, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				for i := 0; i < len(replies); i += 2 {
					if !strings.Contains(strings.ToUpper(line), replies[i]) {
						continue
					}
					io.WriteString(c, strings.ReplaceAll(replies[i+1], "TAG", tag))
					if i == len(replies)-2 {
						return true
					}
				}
			}
		}
	}
	packets := func(greeting string, n int, reply string) func(io.ReadWriter) bool {
		return func(c io.ReadWriter) bool {
			io.WriteString(c, greeting)
			if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
				return false
			}
			io.WriteString(c, reply)
			return true
		}
	}
	for _, tc := range []struct {
		starttls, want string
		server         func(io.ReadWriter) bool
	}{
		{"smtp", "smtp", lines("220 mx ESMTP\r\n", "EHLO", "250-mx\r\n250-STARTTLS\r\n250 HELP\r\n", "STARTTLS", "220 go\r\n")},
		{"lmtp", "smtp", lines("220 mx LMTP\r\n", "LHLO", "250-mx\r\n250 STARTTLS\r\n", "STARTTLS", "220 go\r\n")},
		{"pop3", "pop3", lines("+OK ready\r\n", "STLS", "+OK go\r\n")},
		{"imap", "imap", lines("* OK ready\r\n", "CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS\r\nTAG OK done\r\n", "STARTTLS", "TAG OK go\r\n")},
		{"ftp", "ftp", lines("220 ftp\r\n", "FEAT", "211-Features\r\n AUTH TLS\r\n211 End\r\n", "AUTH TLS", "234 go\r\n")},
		{"postgres", "postgresql", packets("", 8, "S")},
		{"mysql", "mysql", packets(mySQLGreeting, 36, "")},
		{"ldap", "ldap", packets("", 31, ldapAnswer)},
		{"xmpp", "xmpp", func(c io.ReadWriter) bool {
			b := make([]byte, 4096)
			if _, err := c.Read(b); err != nil {
				return false
			}
			io.WriteString(c, xmppServer)
			if _, err := c.Read(b); err != nil {
				return false
			}
			io.WriteString(c, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
			return true
		}},
	} {
		t.Run(tc.starttls, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client := exec.Command(program, "s_client", "-connect", l.Addr().String(), "-starttls", tc.starttls, "-xmpphost", "im.example.org", "-name", "im.example.org")
			client.Stdin = strings.NewReader("Q\n")
			var out strings.Builder
			client.Stdout, client.Stderr = &out, &out
			if err := client.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { client.Process.Kill(); client.Wait() }()
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			s := &spool{Conn: conn}
			ok := tc.server(s)
			prelude := len(s.list)
			if ok {
				err = tls.Server(s, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
			}
			if !ok || err != nil {
				t.Fatalf("no handshake: %v\n%+v\n%s", err, s.list, out.String())
			}

			var p Prelude
			for i, m := range s.list {
				n, v := p.Feed(m.from, []byte(m.text))
				switch {
				case i < prelude-1 && (v != PreludeMore || n != len(m.text)), i == prelude-1 && n != len(m.text):
					t.Fatalf("%d of %d: n %d of %d, verdict %d: %q", i, prelude, n, len(m.text), v, m.text)
				case i == prelude && (v != PreludeDone || n != 0 || !IsClientHello([]byte(m.text)) || m.from != 0):
					t.Fatalf("behind the prelude: n %d, verdict %d: %q", n, v, m.text)
				}
			}
			if i := slices.IndexFunc(s.list, func(m said) bool { return m.from == 0 && IsClientHello([]byte(m.text)) }); i != prelude {
				t.Errorf("the ClientHello is message %d, the prelude has %d", i, prelude)
			}
			if p.Name() != tc.want || p.Client() != 0 {
				t.Errorf("%q, client %d", p.Name(), p.Client())
			}
		})
	}
}
