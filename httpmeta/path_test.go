package httpmeta

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
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
		{"/t/AbCdEfGhIjKlMnOpQrSt", "/t/{token}"},
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
		{"/a%20b/%zz%2", "/a%20b/%zz%2"},
		{"/%41%2D%7E%62/%C3%bc%0a%7F", "/A-~b/%C3%bc%0a%7F"},
		{"/%34%32/100%25", "/{id}/100%"},
		{"/group%2Fproject%2f17", "/group/project/{id}"},
		{"/a b\x00\x7f", "/a%20b%00%7F"},
		{"/größe/日本", "/größe/日本"},
		{"/\xff\xfe/\xc3", "/%FF%FE/%C3"},
		{"/\u202egnp.exe", "/%E2%80%AEgnp.exe"},
		{"/" + word(maxSegment), "/" + word(maxSegment)},
		{"/" + word(maxSegment+1) + "/y", "/{long}/y"},
		{"/" + strings.Repeat("x.", 5000), "/{long}"},
		{"/1/2/3/4/5/6/7/8/9/10/11/12", strings.Repeat("/{id}", 12)},
		{"/1/2/3/4/5/6/7/8/9/10/11/12/", strings.Repeat("/{id}", 12) + "/…"},
		{"/1/2/3/4/5/6/7/8/9/10/11/12/13/14", strings.Repeat("/{id}", 12) + "/…"},
		{"/" + word(70) + "/" + word(56), "/" + word(70) + "/" + word(56)},
		{"/" + word(70) + "/" + word(57), "/" + word(70) + "/…"},
		{"/" + word(70) + "/" + word(52) + "/z", "/" + word(70) + "/" + word(52) + "/z"},
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

// word is n letters that could be a word.
func word(n int) string { return strings.Repeat("an", n)[:n] }

// TestSecrets: nothing of what may be a secret stays. All of them have one.
func TestSecrets(t *testing.T) {
	for _, tc := range []struct{ path, want string }{
		// Values, plain and encoded.
		{"/x?token=S3CRET", "/x"},
		{"/x%3Ftoken=S3CRET", "/x"},
		{"/x%3ftoken=S3CRET/y", "/x"},
		{"/x%253Ftoken%253DS3CRET", "/x"},
		{"/x%25253Ftoken", "/x"},
		{"/x%%333Fx", "/x3Fx"}, // no ?, however often it is decoded
		{"/x%%33FS3CRET", "/x"},
		{"/x%2%35%33FS3CRET", "/x"},
		{"/x#S3CRET/y", "/x"},
		{"/x%23S3CRET/y", "/x"},
		{"/cb&code=S3CRET", "/cb"},
		{"/cb%26code%3DS3CRET/y", "/cb"},
		{"/api_key=S3CRET/x", "/api_key"},
		{"/api_key%3dS3CRET/x", "/api_key"},
		{"/k=S3CR/ET=/x", "/k"},
		{"/=S3CRET", "/"},
		{"/&S3CRET", "/"},
		{"/p;jsessionid=S3CRET/x;v=S3CRET", "/p/x"},
		{"/p%3Bjsessionid=S3CRET/x", "/p/x"},
		{"/p%3bjsessionid%3DS3CRET/x", "/p/x"},
		{"/p;a?b=S3CR/ET", "/p"},
		{"/p;a%3Fb=S3CR/ET", "/p"},
		{"/p;a=b&c=S3CR/ET", "/p"},
		{"/;S3CRET", "/"},
		// User information of a URL in the path.
		{"/http://u:S3CRET@h/p", "/http://{userinfo}/p"},
		{"/http:/u:S3CRET@h/p", "/http:/{userinfo}/p"},
		{"/http:/S3CRET@h/p", "/http:/{userinfo}/p"},
		{"/http://S3CRET@h/p", "/http://{userinfo}/p"},
		{"/fetch/http%3A%2F%2Fu%3AS3CRET%40h%2Fp%3Fq=S3CRET", "/fetch/http://{userinfo}/p"},
		{"//u:S3CRET@host/p", "//{userinfo}/p"},
		{"//S3CRET@host/p", "//{userinfo}/p"},
		{"/x/u:S3CRET@host/p", "/x/{userinfo}/p"},
		{"/x/u:S3CRET@host.example/p", "/x/{email}/p"},
		{"u:S3CRET@host/p", "{userinfo}/p"},
		{"S3CRET@host", "{userinfo}"},
		{"http:/S3CRET@h", "http:/{userinfo}"},
		// Tokens.
		{"/reset/AbCdEfGhIjKlMnOpQrStUvWxYz", "/reset/{token}"},
		{"/ghp_abcdefghijABCDEFGHIJklmnopKLMNOP", "/{token}"},
		{"/AKIAIOSFODNNEXAMPLE", "/{token}"},
		{"/AKIAIOSFODNN7EXAMPLE/x", "/{token}/x"},
		{"/JBSWY3DPEHPK3PXPJBSWY3DP", "/{token}"},
		{"/mfrggzdfmztwqylknnwg", "/{token}"},
		{"/xqzvkjwpbtrmlnhd", "/{token}"},
		{"/xQzVkJwPbTrMlNhD", "/{token}"},
		{"/dGhpcyBpcyBhIHNlY3JldA%3D%3D", "/{token}"},
		{"/Kq3xZ9vB1mT7wPz2", "/{token}"},
		{"/c2VjcmV0cGFzc3dvcmQtYWJj", "/{token}"},
		{"/_cYkWq-rTnXbVjQz_LmHgPdF", "/{token}"},
		{"/a.xqzvkjwpbtrmlnhd.b", "/{token}"},
		{"/xqzvkjwpbtrmlnhd.json", "/{token}"},
		{"/xqzvkjwpb!trmlnhdxkqw(zvj", "/{token}"},
		{"/xqzvkjwpbtrmlnhd%20x", "/{token}"},
		{"/%78%71%7A%76kjwpbtrmlnhd", "/{token}"},
		{"/eyJhbGciOiJub25lIn.eyJzdWIiOiJhbm5hIn.", "/{token}"},
		{"/eyJhbGciOiJub25lIn.eyJzdWIiOiJhbm5hIn.%3D/x", "/{token}"},
		{"/" + strings.Repeat("S3CRET%20", 100) + "/x", "/…"},
		{"/x/" + strings.Repeat("%41", maxDecoded) + "/x", "/x/…"},
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

// TestWords: names that are no secrets stay, however long.
func TestWords(t *testing.T) {
	for _, s := range []string{
		"getCustomerAccountDetails", "ListAllMyBucketsForAccount", "internationalization", "SCREAMING_SNAKE_CASE_NAME",
		"how-to-configure-the-network-interface", "pkg.apis.meta.v1.DeploymentList", "donaudampfschifffahrtsgesellschaft",
		"inscripcionesuniversitarias", "developpementdurable", "AuthorizationServiceConfiguration", "zhongguorenminyinhang",
		"application-settings.production.json", "opentelemetry.proto.collector.trace.v1.TraceService", "BatchGetDocuments",
		"jquery-ui-timepicker-addon.min.js", "horizontalpodautoscalers", "validatingwebhookconfigurations", "customresourcedefinitions",
	} {
		if got := string(appendTemplate(nil, []byte("/"+s))); got != "/"+s {
			t.Errorf("template of %q = %q", s, got)
		}
	}
}

// TestHosts: what cannot be a host is refused as a whole.
func TestHosts(t *testing.T) {
	for _, tc := range []struct{ host, want string }{
		{"", ""},
		{"Shop.Example", "shop.example"},
		{"_sip.my_host-1.example.:8080", "_sip.my_host-1.example:8080"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"10.0.0.1:80", "10.0.0.1"},
		{"[2001:DB8::1]:8080", "[2001:db8::1]:8080"},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
		{"u:S3CRET@h", "h"},
		{"S3CRET%40h", "invalid"},
		{"h?h3secret", "invalid"},
		{"h%3Fsecret", "invalid"},
		{"h/../x", "invalid"},
		{"h#x", "invalid"},
		{"h;x=1", "invalid"},
		{"h&x", "invalid"},
		{"h=x", "invalid"},
		{"h x", "invalid"},
		{"h,x", "invalid"},
		{"h\\x", "invalid"},
		{"h\x1b[31m", "invalid"},
		{"bücher.example", "invalid"},
		{"h:8o", "invalid"},
		{"h:secret", "invalid"},
		{"h:123456", "invalid"},
		{":80", "invalid"},
		{".", "invalid"},
		{"@", ""},
		{"[::1", "invalid"},
		{"::1]", "invalid"},
		{"[::secret]", "invalid"},
		{"[fe80::1%25eth0]", "invalid"},
		{"[v1.x]", "invalid"},
		{"[]", "invalid"},
		{"a:b:c:x", "invalid"},
		{strings.Repeat("x", maxHost-4) + ":8080", "invalid"},
	} {
		if got := string(appendHost([]byte("before"), []byte(tc.host), "80")); got != "before"+tc.want {
			t.Errorf("host of %q = %q, want %q", tc.host, got, tc.want)
		}
	}
}

func TestMethods(t *testing.T) {
	for _, m := range methods {
		if got := methodName([]byte(m)); got != m || len(m) > maxMethod {
			t.Errorf("method %q = %q", m, got)
		}
	}
	for _, m := range []string{"", "get", "GETS", "X-S3CRET", "GET\x1b[31m", strings.Repeat("G", 99)} {
		if got := methodName(m); got != otherMethod {
			t.Errorf("method %q = %q, want %q", m, got, otherMethod)
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
			if r == ' ' || !unicode.IsPrint(r) || strings.ContainsRune("?#;&=", r) {
				t.Errorf("template of %q = %q holds %q", path, got, r)
			}
		}
		if again := string(appendTemplate(nil, got)); strings.ContainsAny(unescaped(string(got)), "?#;&=") || len(again) > len(got) {
			t.Errorf("template of %q = %q, which is %q when decoded, and %q as a template", path, got, unescaped(string(got)), again)
		}
		// What follows a value's mark has no influence, but where a segment does.
		plain := unescaped(string(path[:min(len(path), 150)]))
		if i := strings.IndexAny(plain, "?#&="); i >= 0 && !strings.Contains(plain[:i], ";") {
			if alone := appendTemplate(nil, []byte(plain[:i])); !bytes.Equal(alone, appendTemplate(nil, []byte(plain))) {
				t.Errorf("template of %q = %q, without what follows %q", plain, appendTemplate(nil, []byte(plain)), alone)
			}
		}
		host := appendHost(nil, path, "80")
		for _, c := range host {
			if !isLetter(c) && !isDigit(c) && bytes.IndexByte([]byte("-_.:[]"), c) < 0 || c >= 'A' && c <= 'Z' {
				t.Errorf("host of %q = %q", path, host)
			}
		}
		if len(host) > maxHost {
			t.Errorf("host of %q = %q", path, host)
		}
		if m := methodName(path); m != otherMethod && m != string(path) {
			t.Errorf("method of %q = %q", path, m)
		}
	})
}

var escape = regexp.MustCompile("%(?:2[1345-9a-fA-F]|3[0-9abdABDfF]|[46][0-9a-fA-F]|5[0-9aAbBdDfF]|7[0-9aAeE])")

// unescaped decodes the plain characters of a path until there are none.
func unescaped(s string) string {
	for {
		next := escape.ReplaceAllStringFunc(s, func(e string) string {
			n, _ := strconv.ParseUint(e[1:], 16, 8)
			return string(rune(n))
		})
		if next == s {
			return s
		}
		s = next
	}
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
		{"GET", "a?b=c://u:S3CRET@h/S3CRET", "h", "h", "a"},
		{"GET", "1a://u:S3CRET@h/x", "h", "h", "1a://{userinfo}/x"},
		{"GET", "http://h;S3CRET/x", "h", "invalid", "/x"},
		{"GET", "http://u:S3CRET@h%3FS3CRET/x", "h", "invalid", "/x"},
		{"CONNECT", "h?S3CRET", "h", "invalid", ""},
		{"OPTIONS", "*", "h", "h", "*"},
		{"CONNECT", "a.example:443", "other", "a.example:443", ""},
		{"CONNECT", "A.example:80", "other", "a.example:80", ""},
		{"CONNECT", "[::1]:443", "", "[::1]:443", ""},
		{"GET", "/", "[2001:DB8::1]:80", "[2001:db8::1]", "/"},
		{"GET", "/", "[2001:DB8::1]", "[2001:db8::1]", "/"},
		{"GET", "/", "2001:db8::1", "2001:db8::1", "/"},
		{"GET", "/", "h.:80", "h", "/"},
		{"GET", "/", "h:", "h", "/"},
		{"GET", "/", "bad host\x00ü", "invalid", "/"},
		{"GET", "/", strings.Repeat("x", maxHost), strings.Repeat("x", maxHost), "/"},
		{"GET", "/", strings.Repeat("x", maxHost+1), "invalid", "/"},
		{"GET", "/", strings.Repeat("ü", 100), "invalid", "/"},
		{"GET", "/", "", "", "/"},
	} {
		var conn Conn
		conn.Reset(&Shared{}, true)
		conn.Feed(true, 0, []byte(tc.method+" "+tc.target+" HTTP/1.1\r\nHost: "+tc.host+"\r\n\r\n"), 1)
		conn.Close(2)
		var e Exchange
		conn.Next(&e)
		if e.Host != tc.wantHost || e.Path != tc.wantPath {
			t.Errorf("%s %q of %q: %q %q, want %q %q", tc.method, tc.target, tc.host, e.Host, e.Path, tc.wantHost, tc.wantPath)
		}
	}
}
