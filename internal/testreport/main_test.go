package main

import (
	"strings"
	"testing"
)

// events as go test -json writes them, shortened to the keys that are read.
const (
	passing = `{"Action":"run","Package":"mirrorscope/a","Test":"TestOne"}
{"Action":"output","Package":"mirrorscope/a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"output","Package":"mirrorscope/a","Test":"TestOne","Output":"    a_test.go:3: chatter\n"}
{"Action":"pass","Package":"mirrorscope/a","Test":"TestOne"}
{"Action":"output","Package":"mirrorscope/a","Output":"PASS\n"}
{"Action":"output","Package":"mirrorscope/a","Output":"ok  \tmirrorscope/a\t0.1s\n"}
{"Action":"pass","Package":"mirrorscope/a"}
`
	skipping = `{"Action":"output","Package":"mirrorscope/b","Test":"TestLab","Output":"=== RUN   TestLab\n"}
{"Action":"output","Package":"mirrorscope/b","Test":"TestLab","Output":"    lab_test.go:9: needs root\n"}
{"Action":"output","Package":"mirrorscope/b","Test":"TestLab","Output":"--- SKIP: TestLab (0.00s)\n"}
{"Action":"skip","Package":"mirrorscope/b","Test":"TestLab"}
{"Action":"output","Package":"mirrorscope/b","Output":"ok  \tmirrorscope/b\t0.2s\n"}
{"Action":"pass","Package":"mirrorscope/b"}
`
	failing = `{"Action":"output","Package":"mirrorscope/c","Test":"TestBad","Output":"    c_test.go:5: want 1, got 2\n"}
{"Action":"fail","Package":"mirrorscope/c","Test":"TestBad"}
{"Action":"output","Package":"mirrorscope/c","Output":"FAIL\n"}
{"Action":"output","Package":"mirrorscope/c","Output":"FAIL\tmirrorscope/c\t0.3s\n"}
{"Action":"fail","Package":"mirrorscope/c"}
`
	unbuilt = `{"ImportPath":"mirrorscope/d","Action":"build-output","Output":"d/d.go:1: undefined: x\n"}
{"ImportPath":"mirrorscope/d","Action":"build-fail"}
{"Action":"output","Package":"mirrorscope/d","Output":"FAIL\tmirrorscope/d [build failed]\n"}
{"Action":"fail","Package":"mirrorscope/d"}
`
)

func TestReport(t *testing.T) {
	for _, tc := range []struct {
		name, events string
		failed       bool
		want         string
	}{
		{"all pass", passing, false, "ok  \tmirrorscope/a\t0.1s\nok\t1 packages, 1 tests passed, 0 failed, 0 skipped\n"},
		{"one skipped", passing + skipping, false, "ok  \tmirrorscope/a\t0.1s\nok  \tmirrorscope/b\t0.2s\n" +
			"\nskipped 1 of 2 tests:\n  needs root: b.TestLab\nok\t2 packages, 1 tests passed, 0 failed, 1 skipped\n"},
		{"one failed", failing, true, "    c_test.go:5: want 1, got 2\nFAIL\nFAIL\tmirrorscope/c\t0.3s\n" +
			"FAIL\t1 packages, 0 tests passed, 1 failed, 0 skipped\n"},
		{"does not build", unbuilt, true, "d/d.go:1: undefined: x\nFAIL\tmirrorscope/d [build failed]\n" +
			"FAIL\t1 packages, 0 tests passed, 0 failed, 0 skipped\n"},
		{"no event", "go: no such module\n", false, "go: no such module\nok\t0 packages, 0 tests passed, 0 failed, 0 skipped\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got strings.Builder
			failed := report(strings.NewReader(tc.events), &got)
			if got.String() != tc.want || failed != tc.failed {
				t.Errorf("failed %t, want %t; report\n%s\nwant\n%s", failed, tc.failed, got.String(), tc.want)
			}
		})
	}
}

func TestReason(t *testing.T) {
	for text, want := range map[string]string{
		"=== RUN   T\n    a_test.go:1: needs tshark: not there\n--- SKIP: T\n": "needs tshark: not there",
		"=== RUN   T\n--- SKIP: T\n": "no reason given",
	} {
		if got := reason(text); got != want {
			t.Errorf("reason(%q) = %q, want %q", text, got, want)
		}
	}
}
