package main

import (
	"reflect"
	"testing"
)

// Only what no one has written to, nor can, is given back.
func TestUnchanged(t *testing.T) {
	smaps := []byte(`00402000-01637000 r-xp 00002000 fe:00 10560824                           /usr/bin/sensor
Size:              18644 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
01637000-02925000 r--p 01237000 fe:00 10560824                           /usr/bin/sensor
Anonymous:             0 kB
02925000-02926000 r--p 02524000 fe:00 10560824                           /usr/bin/sensor
Anonymous:             4 kB
02926000-02a86000 rw-p 02525000 fe:00 10560824                           /usr/bin/sensor
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 fe:00 7                          /usr/lib/libc.so
Anonymous:             0 kB
7f0000002000-7f0000003000 r--p 00000000 fe:00 7                          /usr/bin/sensor (deleted)
Anonymous:             0 kB
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0
Anonymous:             0 kB
`)
	want := []mapping{{0x402000, 0x1637000}, {0x1637000, 0x2925000}}
	if got := unchanged(smaps, "/usr/bin/sensor"); !reflect.DeepEqual(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	forgetProgram()
}
