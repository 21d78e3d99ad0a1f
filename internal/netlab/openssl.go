package netlab

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// openssl is a load of TLS with OpenSSL's programs at both ends: connections one
// after the other, each with some requests of HTTP/1.1. It has what crypto/tls has
// not: early data, session identifiers, no middlebox compatibility.
type openssl struct {
	server   []string        // arguments, beyond address and certificate
	clients  [][]string      // arguments by connection; "DIR/" at the beginning is a folder for files
	chain    int             // octets that the server's certificates are filled up with
	mutual   bool            // the client has a certificate
	early    []early         // by connection: what becomes of the first request
	restart  bool            // the server begins anew before each connection, with new keys for tickets
	thoughts []time.Duration // the server's, by request
	fails    bool            // the handshake
}

// early says whether a request is offered as early data. One that is refused comes again
// after the handshake.
type early uint8

const (
	notEarly early = iota
	taken
	refusedEarly
)

// program runs in the namespace of a host.
type program struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors bytes.Buffer
	once   sync.Once
	ended  error
}

// program starts one. It is killed at the end of the scenario at the latest.
func (s *Session) program(side Direction, name string, args ...string) (*program, error) {
	p := &program{cmd: exec.Command(name, args...)}
	p.cmd.Stderr = &p.errors
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := s.net.hosts[side].do(p.cmd.Start); err != nil { // a child is in the namespace of the thread that made it
		return nil, err
	}
	timer := time.AfterFunc(time.Until(s.limit), func() { _ = p.cmd.Process.Kill() })
	s.open = append(s.open, closer(func() error {
		timer.Stop()
		_ = p.cmd.Process.Kill()
		return p.wait()
	}))
	return p, nil
}

func (p *program) wait() error {
	p.once.Do(func() { p.ended = p.cmd.Wait() })
	if p.ended != nil {
		return fmt.Errorf("%s %s: %w\n%s", p.cmd.Path, p.cmd.Args[1], p.ended, p.errors.String())
	}
	return nil
}

type closer func() error

func (c closer) Close() error { return c() }

// listening waits until something listens at the server's port.
func (s *Session) listening() error {
	port := fmt.Sprintf(":%04X", s.port)
	return s.until("listening", func() (found bool, err error) {
		err = s.net.hosts[FromServer].do(func() error {
			table, err := os.ReadFile("/proc/thread-self/net/tcp")
			for line := range strings.Lines(string(table)) {
				if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], port) && f[3] == "0A" {
					found = true
				}
			}
			return err
		})
		return found, err
	})
}

func (l openssl) load(s *Session) error {
	if err := s.listen.Close(); err != nil { // the port is for OpenSSL
		return err
	}
	cert, err := certificate(serverName, x509.ExtKeyUsageServerAuth, l.chain)
	if err != nil {
		return err
	}
	if err := files(s.dir, "server", cert); err != nil {
		return err
	}
	if l.mutual {
		cert, err := certificate("client.example", x509.ExtKeyUsageClientAuth, 0)
		if err != nil {
			return err
		}
		if err := files(s.dir, "client", cert); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "early"), []byte(request("/early")), 0o600); err != nil {
		return err
	}
	var server *program
	for i, args := range l.clients {
		if server == nil || l.restart {
			if server != nil {
				_ = server.cmd.Process.Kill()
				_ = server.wait() // killed
			}
			if server, err = l.serve(s); err != nil {
				return err
			}
		}
		offer := notEarly
		if i < len(l.early) {
			offer = l.early[i]
		}
		if err := l.connection(s, server, args, offer); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	keys, err := os.ReadFile(filepath.Join(s.dir, "keys"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err = s.keys.Write(keys)
	return err
}

func (l openssl) serve(s *Session) (*program, error) {
	args := []string{
		"s_server", "-quiet", "-accept", netip.AddrPortFrom(s.addrs[FromServer], s.port).String(),
		"-cert", "DIR/server.pem", "-key", "DIR/server.key", "-CAfile", "DIR/root.pem",
	}
	if l.chain > 0 {
		args = append(args, "-cert_chain", "DIR/server-chain.pem")
	}
	p, err := s.program(FromServer, "openssl", s.inDir(append(args, l.server...))...)
	if err != nil {
		return nil, err
	}
	return p, s.listening()
}

// inDir puts the folder of the session for DIR.
func (s *Session) inDir(args []string) []string {
	var out []string
	for _, a := range args {
		if rest, ok := strings.CutPrefix(a, "DIR/"); ok {
			a = filepath.Join(s.dir, rest)
		}
		out = append(out, a)
	}
	return out
}

// connection runs s_client once.
func (l openssl) connection(s *Session, server *program, more []string, offer early) error {
	args := []string{
		"s_client", "-quiet", "-no_ign_eof", "-connect", netip.AddrPortFrom(s.addrs[FromServer], s.port).String(),
		"-servername", serverName, "-CAfile", "DIR/root.pem", "-verify_return_error", "-keylogfile", "DIR/keys",
	}
	if l.mutual {
		args = append(args, "-cert", "DIR/client.pem", "-key", "DIR/client.key")
	}
	if offer != notEarly {
		args = append(args, "-early_data", "DIR/early")
	}
	client, err := s.program(FromClient, "openssl", s.inDir(append(args, more...))...)
	if err != nil {
		return err
	}
	if l.fails {
		_ = client.wait() // by an alert
		s.quiet()
		return nil
	}
	for i, think := range l.thoughts {
		if i > 0 || offer != taken {
			if _, err := io.WriteString(client.in, request(fmt.Sprintf("/turn/%d", i))); err != nil {
				return errors.Join(err, client.wait())
			}
		}
		for { // the end of the request's head
			line, err := server.out.ReadString('\n')
			if err != nil {
				return errors.Join(err, errors.New(client.errors.String()))
			}
			if line == "\r\n" {
				break
			}
		}
		time.Sleep(think)
		if _, err := server.in.Write(response); err != nil {
			return err
		}
		if err := getResponse(client.out); err != nil {
			return errors.Join(err, errors.New(client.errors.String()))
		}
	}
	if err := client.in.Close(); err != nil {
		return err
	}
	if err := client.wait(); err != nil {
		return err
	}
	s.quiet()
	return nil
}

// quiet waits a while, so that the server's program has noticed the end of a
// connection before the next begins.
func (s *Session) quiet() { time.Sleep(100 * time.Millisecond) }
