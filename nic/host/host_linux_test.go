package host

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
	"mirrorscope/nic"
)

// TestInspect compares with what the system's own tools and files say.
func TestInspect(t *testing.T) {
	needs.Root(t)
	needs.Tool(t, "uname")
	f := Inspect(Known{Memory: 1 << 30, KeepsBPF: true, LandlockABI: 3, XDPMemory: 5})
	release, err := exec.Command("uname", "-r").Output()
	if err != nil {
		t.Fatal(err)
	}
	if f.Release != strings.TrimSpace(string(release)) || !strings.HasPrefix(f.Release, f.Kernel.String()+".") {
		t.Errorf("release %q, version %s; uname -r: %s", f.Release, f.Kernel, release)
	}
	if f.AFPacket != nic.Yes || f.BPF != nic.Yes {
		t.Errorf("AF_PACKET %s, BPF %s (%v): want both, as root", f.AFPacket, f.BPF, f.Unknown)
	}
	if all := []Capability{NetRaw, NetAdmin, BPF, Perfmon, IPCLock}; !slices.Equal(f.Capabilities, all) {
		t.Errorf("capabilities of root: %v, want %v", f.Capabilities, all)
	}
	_, err = os.Stat("/sys/kernel/btf/vmlinux")
	if f.BTF != (err == nil) {
		t.Errorf("BTF %v, %v", f.BTF, err)
	}
	if f.Synchronised == nic.Unknown || f.CPUs != runtime.NumCPU() || f.Memory != 1<<30 || !f.KeepsBPF || f.LandlockABI != 3 || f.XDPMemory != 5 {
		t.Errorf("%+v", f)
	}
}

// TestInspectSome: what a process has is what it is told to have, one by one.
func TestInspectSome(t *testing.T) {
	needs.Root(t)
	numbers := map[Capability]uint{NetRaw: unix.CAP_NET_RAW, NetAdmin: unix.CAP_NET_ADMIN, BPF: unix.CAP_BPF, Perfmon: unix.CAP_PERFMON, IPCLock: unix.CAP_IPC_LOCK}
	for name, n := range numbers {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // never unlocked
			done <- func() error {
				var one [2]unix.CapUserData
				one[n/32].Effective, one[n/32].Permitted = 1<<(n%32), 1<<(n%32)
				if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &one[0]); err != nil {
					return err
				}
				if f := Inspect(Known{}); !slices.Equal(f.Capabilities, []Capability{name}) {
					return fmt.Errorf("with %s alone it says %v", name, f.Capabilities)
				}
				return nil
			}()
		}()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestInspectNobody: a process without rights is told so, and nothing that it
// may not try is said to be missing.
func TestInspectNobody(t *testing.T) {
	needs.Root(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- func() error {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
				return errno
			}
			f := Inspect(Known{})
			if len(f.Capabilities) != 0 || f.AFPacket != nic.Unknown || f.Unknown["af_packet"] == "" || f.AFXDP == nic.No {
				return fmt.Errorf("%+v", f)
			}
			if got := nic.Worst(Examine(f, nic.Use{})); got != nic.Error {
				return fmt.Errorf("worst finding %s: it lacks NET_RAW", got)
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
