package httpmeta

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTemplate(t *testing.T) {
	for _, tc := range []struct{ path, want string }{
		{"/", "/"},
		{"", ""},
		{"/index.html", "/index.html"},
		{"//a///b/", "//a///b/"},
		{"/users/42", "/users/{id}"},
		{"/users/42/orders/0", "/users/{id}/orders/{id}"},
		{"/v1/users", "/v1/users"},
		{"/v1.2/x2/ipv6", "/v1.2/x2/ipv6"},
		{"/api/1.2", "/api/1.2"},
		{"/api/1.2.3", "/api/1.2.3"},
		{"/api/2024-01", "/api/{id}"},
		{"/point/51.12345,13.7", "/point/{id}"},
		{"/point/-13,4", "/point/{id}"},
		{"/host/10.1.2.3", "/host/{ip}"},
		{"/host/2001:db8::1", "/host/{ip}"},
		{"/o/550e8400-e29b-41d4-a716-446655440000", "/o/{uuid}"},
		{"/o/550E8400-E29B-41D4-A716-446655440000/x", "/o/{uuid}/x"},
		{"/o/550e8400-e29b-41d4-a716-44665544000g", "/o/550e8400-e29b-41d4-a716-44665544000g"},
		{"/c/9f86d081884c7d65", "/c/{hex}"},
		{"/c/DEADBEE1", "/c/{hex}"},
		{"/c/deadbeef", "/c/deadbeef"},
		{"/c/facade", "/c/facade"},
		{"/c/0x1f2e3d4c5b", "/c/{hex}"},
		{"/c/abc123", "/c/abc123"},
		{"/d/2024-01-31", "/d/{date}"},
		{"/d/2024-01-31T10:00:00Z", "/d/{date}"},
		{"/d/2024-01-31T10:00:00.123+01:00", "/d/{date}"},
		{"/d/2024-01-311", "/d/{id}"},
		{"/d/2024-01-31-why-we-left", "/d/2024-01-31-why-we-left"},
		{"/m/jane.doe+x@example.org", "/m/{email}"},
		{"/m/jane%40example.org", "/m/{email}"},
		{"/m/@jane", "/m/@jane"},
		{"/m/a@b", "/m/a@b"},
		{"/t/dGhpcyBpcyBhIHRva2VuIDEyMzQ1Njc4OTA=", "/t/{token}"},
		{"/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/{token}"},
		{"/t/ckopqwooh000001la8mbi2im9", "/t/{token}"},
		{"/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123", "/t/{token}"},
		{"/t/getCustomerAccountDetails2", "/t/getCustomerAccountDetails2"},
		{"/t/ten-things-to-do-in-2024-and-after", "/t/ten-things-to-do-in-2024-and-after"},
		{"/t/averyveryverylongwordwithoutanydigits", "/t/averyveryverylongwordwithoutanydigits"},
		{"/s/order-123456", "/s/order-{id}"},
		{"/s/order-1234", "/s/order-1234"},
		{"/s/user_550e8400-e29b-41d4-a716-446655440000", "/s/user_{uuid}"},
		{"/s/i-0abc123def4567890", "/s/i-{hex}"},
		{"/s/-12345", "/s/{id}"},
		{"/img/12345.jpg", "/img/{id}.jpg"},
		{"/img/photo-20240131.jpg", "/img/photo-{id}.jpg"},
		{"/js/app.3f2a9c1b.js", "/js/app.{hex}.js"},
		{"/js/jquery-3.7.1.min.js", "/js/jquery-3.7.1.min.js"},
		{"/.well-known/x", "/.well-known/x"},
		{"/a/../b/.", "/a/../b/."},
		{"/pkg.v1.Service/Method", "/pkg.v1.Service/Method"},
		{"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Check"},
		{"/p;jsessionid=1234567890/x;v=1", "/p/x"},
		{"/a%20b/%zz", "/a%20b/%zz"},
		{"/a b\x00\x7f", "/a%20b%00%7F"},
		{"/größe/日本", "/größe/日本"},
		{"/\xff\xfe/\xc3", "/%FF%FE/%C3"},
		{"/\u202egnp.exe", "/%E2%80%AEgnp.exe"},
		{"/" + strings.Repeat("x", maxSegment), "/" + strings.Repeat("x", maxSegment)},
		{"/" + strings.Repeat("x", maxSegment+1) + "/y", "/{long}/y"},
		{"/" + strings.Repeat("x.", 5000), "/{long}"},
		{"/1/2/3/4/5/6/7/8/9/10/11/12", strings.Repeat("/{id}", 12)},
		{"/1/2/3/4/5/6/7/8/9/10/11/12/", strings.Repeat("/{id}", 12) + "/…"},
		{"/1/2/3/4/5/6/7/8/9/10/11/12/13/14", strings.Repeat("/{id}", 12) + "/…"},
		{"/" + strings.Repeat("x", 70) + "/" + strings.Repeat("y", 56), "/" + strings.Repeat("x", 70) + "/" + strings.Repeat("y", 56)},
		{"/" + strings.Repeat("x", 70) + "/" + strings.Repeat("y", 57), "/" + strings.Repeat("x", 70) + "/…"},
		{"/" + strings.Repeat("x", 70) + "/" + strings.Repeat("y", 52) + "/z", "/" + strings.Repeat("x", 70) + "/" + strings.Repeat("y", 52) + "/z"},
		{"*", "*"},
	} {
		got := string(appendTemplate(nil, []byte(tc.path)))
		if got != tc.want {
			t.Errorf("template of %q = %q, want %q", tc.path, got, tc.want)
		}
		if again := string(appendTemplate(nil, []byte(got))); again != got {
			t.Errorf("template of the template %q = %q", got, again)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"/users/42", "/a/\xff;b/12.jpg", "/" + strings.Repeat("x/", 40), strings.Repeat("/日", 60)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		got := appendTemplate([]byte("before"), path)
		if string(got[:6]) != "before" {
			t.Fatalf("what was there is changed: %q", got)
		}
		got = got[6:]
		if len(got) > maxPath || !utf8.Valid(got) || strings.Count(string(got), "/") > maxSegments+1 {
			t.Errorf("template of %q = %q: %d octets", path, got, len(got))
		}
		for _, r := range string(got) {
			if r <= ' ' || r == 0x7f {
				t.Errorf("template of %q = %q holds %q", path, got, r)
			}
		}
		host := appendHost(nil, path, "80")
		if len(host) > maxHost || !utf8.Valid(host) {
			t.Errorf("host of %q = %q", path, host)
		}
	})
}

func TestTarget(t *testing.T) {
	for _, tc := range []struct{ method, target, host, wantHost, wantPath string }{
		{"GET", "/x?a=1#b", "Example.ORG", "example.org", "/x"},
		{"GET", "/x#b?c", "h:80", "h", "/x"},
		{"GET", "/?secret", "h:8080", "h:8080", "/"},
		{"GET", "http://A.example/x?q", "other", "a.example", "/x"},
		{"GET", "http://a.example", "other", "a.example", "/"},
		{"GET", "http://a.example?q=/secret", "other", "a.example", "/"},
		{"GET", "HTTPS://a.example:443/", "", "a.example", "/"},
		{"GET", "https://a.example:80/", "", "a.example:80", "/"},
		{"GET", "http://user:secret@a.example:80/", "", "a.example", "/"},
		{"GET", "ftp://a.example:21/x", "", "a.example:21", "/x"},
		{"GET", "/x", "user@h", "h", "/x"},
		{"GET", "/http://b/x", "h", "h", "/http://b/x"},
		{"GET", "x/y?z", "h", "h", "x/y"},
		{"OPTIONS", "*", "h", "h", "*"},
		{"CONNECT", "a.example:443", "other", "a.example:443", ""},
		{"CONNECT", "A.example:80", "other", "a.example:80", ""},
		{"CONNECT", "[::1]:443", "", "[::1]:443", ""},
		{"GET", "/", "[2001:DB8::1]:80", "[2001:db8::1]", "/"},
		{"GET", "/", "[2001:DB8::1]", "[2001:db8::1]", "/"},
		{"GET", "/", "2001:db8::1", "2001:db8::1", "/"},
		{"GET", "/", "h.:80", "h", "/"},
		{"GET", "/", "h:", "h", "/"},
		{"GET", "/", "bad host\x00ü", "bad%20host%00%C3%BC", "/"},
		{"GET", "/", strings.Repeat("x", maxHost), strings.Repeat("x", maxHost), "/"},
		{"GET", "/", strings.Repeat("x", maxHost+1), "", "/"},
		{"GET", "/", strings.Repeat("ü", 100), "", "/"},
		{"GET", "/", "", "", "/"},
	} {
		var conn Conn
		conn.Reset(&Shared{}, false)
		conn.Feed(true, 0, []byte(tc.method+" "+tc.target+" HTTP/1.1\r\nHost: "+tc.host+"\r\n\r\n"), 1)
		conn.Close(2)
		var e Exchange
		conn.Next(&e)
		if e.Host != tc.wantHost || e.Path != tc.wantPath {
			t.Errorf("%s %q of %q: %q %q, want %q %q", tc.method, tc.target, tc.host, e.Host, e.Path, tc.wantHost, tc.wantPath)
		}
	}
}
