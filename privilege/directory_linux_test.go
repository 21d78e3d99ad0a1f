package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mirrorscope/internal/needs"
)

// open gives a folder that everybody gets to, and root alone can change.
func open(t *testing.T) string {
	t.Helper()
	needs.Root(t)
	top := t.TempDir()
	for dir := top; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// owners tells whose each thing below a folder is.
func owners(t *testing.T, top string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		name, _ := filepath.Rel(top, path)
		if name != "." {
			all = append(all, fmt.Sprintf("%s:%d:%d:%o", name, st.Uid, st.Gid, st.Mode&0o7777))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// Each directory that is made is the user's, whatever was there; and nothing is
// made, or given away, by way of what another than root has put there.
func TestMakeDirectories(t *testing.T) {
	config := Config{User: fmt.Sprint(nobody), Group: fmt.Sprint(nobody)}
	mkdir := func(top, name string, mode os.FileMode, owner int) error {
		path := filepath.Join(top, name)
		return errors.Join(os.Mkdir(path, mode), os.Chmod(path, mode), os.Chown(path, owner, owner))
	}
	link := func(top, target, name string, owner int) error {
		return errors.Join(os.Symlink(target, filepath.Join(top, name)), os.Lchown(filepath.Join(top, name), owner, owner))
	}
	const his = ":65534:65534:750"
	for _, tc := range []struct {
		name, make string
		before     func(top string) error
		want       string // of what is there afterwards
		fails      error
	}{
		{name: "several", make: "a/b/c", want: "a" + his + " a/b" + his + " a/b/c" + his},
		{
			name: "below one of root's", make: "a/b/c", before: func(top string) error { return mkdir(top, "a", 0o700, 0) },
			want: "a:0:0:700 a/b" + his, fails: fs.ErrPermission, // the user would not get there either
		},
		{
			name: "below one of root's that is open", make: "a/b/c", before: func(top string) error { return mkdir(top, "a", 0o755, 0) },
			want: "a:0:0:755 a/b" + his + " a/b/c" + his,
		},
		{
			name: "there", make: "a", before: func(top string) error { return mkdir(top, "a", 0o755, 0) },
			want: "a:0:0:755",
		},
		{
			name: "below one of the user's", make: "a/b", before: func(top string) error { return mkdir(top, "a", 0o700, nobody) },
			want: "a:65534:65534:700 a/b" + his,
		},
		{
			name: "below one of another user's", make: "a/b", before: func(top string) error { return mkdir(top, "a", 0o755, 1) },
			want: "a:1:1:755", fails: fs.ErrPermission,
		},
		{
			name: "by a link of the user", make: "a/b/c", before: func(top string) error {
				return errors.Join(mkdir(top, "a", 0o700, nobody), mkdir(top, "other", 0o755, 0), link(top, "../other", "a/b", nobody))
			},
			want: "a:65534:65534:700 a/b:65534:65534:777 other:0:0:755", fails: fs.ErrPermission,
		},
		{
			name: "by a link of the user in a folder for all", make: "a/b/c", before: func(top string) error {
				return errors.Join(mkdir(top, "a", 0o777|os.ModeSticky, 0), mkdir(top, "other", 0o755, 0), link(top, "../other", "a/b", nobody))
			},
			want: "a:0:0:1777 a/b:65534:65534:777 other:0:0:755", fails: fs.ErrPermission,
		},
		{
			name: "by links of root", make: "a/b/c/d", before: func(top string) error {
				return errors.Join(mkdir(top, "a", 0o755, 0), mkdir(top, "other", 0o755, 0), link(top, "../again", "a/b", 0), link(top, filepath.Join(top, "other"), "again", 0))
			},
			want: "a:0:0:755 a/b:0:0:777 again:0:0:777 other:0:0:755 other/c" + his + " other/c/d" + his,
		},
		{
			name: "in a folder for all", make: "a/b/c", before: func(top string) error { return mkdir(top, "a", 0o777|os.ModeSticky, 0) },
			want: "a:0:0:1777 a/b" + his + " a/b/c" + his,
		},
		{
			name: "in a circle", make: "a/b", before: func(top string) error { return link(top, "a", "a", 0) },
			want: "a:0:0:777", fails: syscall.ELOOP,
		},
		{
			name: "below a file", make: "a/b", before: func(top string) error { return os.WriteFile(filepath.Join(top, "a"), nil, 0o644) },
			want: "a:0:0:644", fails: syscall.ENOTDIR,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			top := open(t)
			if tc.before != nil {
				if err := tc.before(top); err != nil {
					t.Fatal(err)
				}
			}
			err := MakeDirectories(config, filepath.Join(top, tc.make))
			if !errors.Is(err, tc.fails) || err != nil && !strings.Contains(err.Error(), filepath.Join(top, tc.make)) {
				t.Errorf("error %v, want %v", err, tc.fails)
			}
			if got := owners(t, top); got != tc.want {
				t.Errorf("there is\n%s, want\n%s", got, tc.want)
			}
		})
	}
	if err := MakeDirectories(config, "a/b"); err == nil || !strings.Contains(err.Error(), "not absolute") {
		t.Errorf("a path that is not absolute: %v", err)
	}
}

// Without a user to become they are made by the process, as it is.
func TestMakeDirectoriesAsOneIs(t *testing.T) {
	top := open(t)
	if err := MakeDirectories(DefaultConfig(), filepath.Join(top, "a/b")); err != nil {
		t.Fatal(err)
	}
	if got, want := owners(t, top), "a:0:0:750 a/b:0:0:750"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What is made is the user's, it has the user's rights and none of root's groups,
// and nothing of that lasts.
func TestAs(t *testing.T) {
	top := open(t)
	for name, mode := range map[string]os.FileMode{"all": 0o777, "group": 0o770, "root": 0o700} {
		if err := errors.Join(os.Mkdir(filepath.Join(top, name), 0), os.Chmod(filepath.Join(top, name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string) error { return os.WriteFile(filepath.Join(top, name, "file"), nil, 0o600) }
	config := Config{User: fmt.Sprint(nobody), Group: fmt.Sprint(nobody)}
	if err := As(config, func() error { return write("all") }); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"group", "root"} {
		if err := As(config, func() error { return write(name) }); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := owners(t, filepath.Join(top, "all")); got != "file:65534:65534:600" {
		t.Error(got)
	}
	for range 100 { // on whatever threads there are now
		done := make(chan error)
		go func() { done <- errors.Join(write("root"), os.Remove(filepath.Join(top, "root", "file"))) }()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := As(Config{User: "nobody-at-all"}, func() error { t.Error("it was run"); return nil }); err == nil {
		t.Error("a user that is not there")
	}
}
