package pcapgen

import (
	"fmt"
	"net/http"
	"strings"
)

// Messages of the shop's protocols, as simple as their parsers accept.

func httpGet(host, path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: shop-web/2.1\r\nAccept: application/json\r\n\r\n", path, host)
}

func httpPost(host, path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: shop-web/2.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, host, len(body), body)
}

// httpResponse gives a response with a body of about n octets.
func httpResponse(status, n int) []byte {
	const item = `{"name":"tea pot","price":1900},`
	body := "[" + strings.TrimSuffix(strings.Repeat(item, n/len(item)+1), ",") + "]"
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(body), body)
}

// pgMessage gives a PostgreSQL message: type, length, body. Type 0 stands for
// a startup message, which has none.
func pgMessage(typ byte, body []byte) []byte {
	var m []byte
	if typ != 0 {
		m = append(m, typ)
	}
	return append(be.AppendUint32(m, uint32(4+len(body))), body...)
}

func pgStartup(database, user string) []byte {
	return pgMessage(0, append(be.AppendUint32(nil, 3<<16), "user\x00"+user+"\x00database\x00"+database+"\x00\x00"...))
}

// pgReady is AuthenticationOk and ReadyForQuery.
func pgReady() []byte { return append(pgMessage('R', make([]byte, 4)), pgMessage('Z', []byte{'I'})...) }

func pgQuery(sql string) []byte { return pgMessage('Q', append([]byte(sql), 0)) }

// pgRows gives the result of a query: a description, n rows of one column, the
// end.
func pgRows(n int) []byte {
	column := append([]byte("\x00\x01name\x00"), make([]byte, 18)...)
	m := pgMessage('T', column)
	for i := range n {
		v := fmt.Sprintf("tea pot, model %04d", i)
		m = append(m, pgMessage('D', append(be.AppendUint32([]byte{0, 1}, uint32(len(v))), v...))...)
	}
	m = append(m, pgMessage('C', fmt.Appendf(nil, "SELECT %d\x00", n))...)
	return append(m, pgMessage('Z', []byte{'I'})...)
}

// respCommand gives a redis command.
func respCommand(args ...string) []byte {
	m := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		m = append(m, respBulk(a)...)
	}
	return m
}

func respBulk(s string) []byte { return fmt.Appendf(nil, "$%d\r\n%s\r\n", len(s), s) }
