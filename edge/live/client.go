package live

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
)

// maxLine bounds a line that a Client reads, in octets.
const maxLine = 64 << 20

// ErrVersion is what a Client gives that meets a sensor of another Version.
var ErrVersion = errors.New("the sensor speaks another version")

// Client reads what a Server says.
type Client struct {
	conn  io.ReadCloser
	lines *bufio.Scanner
	hello Hello
	line  []byte
}

// Dial connects to the socket of a Server and reads its Hello.
func Dial(path string) (*Client, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(conn)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, errors.Join(err, conn.Close()))
	}
	return c, nil
}

// NewClient reads the Hello from a connection, which it takes over.
func NewClient(conn io.ReadCloser) (*Client, error) {
	c := &Client{conn: conn, lines: bufio.NewScanner(conn)}
	c.lines.Buffer(make([]byte, 64<<10), maxLine)
	if err := c.next(&c.hello); err != nil {
		return nil, err
	}
	if c.hello.Type != "hello" || c.hello.Version != Version {
		return nil, fmt.Errorf("%w: %d, not %d", ErrVersion, c.hello.Version, Version)
	}
	return c, nil
}

// Hello is what the Server said first.
func (c *Client) Hello() Hello { return c.hello }

// Next waits for the next Top. The error is io.EOF when the Server has ended.
func (c *Client) Next() (*Top, error) {
	for {
		t := new(Top)
		if err := c.next(t); err != nil {
			return nil, err
		}
		if t.Type == "top" { // else something that a later sensor says
			return t, nil
		}
	}
}

// Line lends the line that Next has read, without its end.
func (c *Client) Line() []byte { return c.line }

func (c *Client) next(to any) error {
	if !c.lines.Scan() {
		if err := c.lines.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	c.line = c.lines.Bytes()
	return json.Unmarshal(c.line, to)
}

// Close ends the connection, and a Next that waits.
func (c *Client) Close() error { return c.conn.Close() }

// Encode writes a Top as one line of JSON.
func (t *Top) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(t)
}
