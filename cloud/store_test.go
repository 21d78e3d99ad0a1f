package cloud

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// full is a Snapshot with a value in every field.
func full(source string) *Snapshot {
	at := time.Date(2026, 11, 20, 10, 0, 0, 123456789, time.UTC)
	return &Snapshot{
		Source: source, Taken: at, Unread: 1, Partial: []string{"x"},
		Interfaces: []Interface{{
			ID: "eni-1", Name: "web", Provider: "aws", Account: "123456789012", Region: "eu-central-1", Zone: "eu-central-1a",
			Network: Named{"vpc-1", "blue"}, Subnet: Named{"subnet-1", "private"},
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5")},
			Prefixes:  []netip.Prefix{netip.MustParsePrefix("10.0.1.0/28")},
			Public:    []netip.Addr{netip.MustParseAddr("198.51.100.7")}, MAC: "02:00:00:00:00:01",
			Groups: []Named{{"sg-1", "web"}}, Kind: KindInstance, Service: "x", Instance: "i-1", Attached: at,
			Object: &Object{Name: "web-1", Namespace: "shop", Workload: "web", WorkloadKind: "Deployment", Services: []string{"web"}, Node: "n1"},
			Tags:   Tags{"a": "b"},
		}},
		Instances: []Instance{{ID: "i-1", Name: "web", Type: "m7i.large", State: "running", Launched: at, Group: "asg", Cluster: "prod", Tags: Tags{"Name": "web"}}},
	}
}

func TestStore(t *testing.T) {
	s := Store{t.TempDir()}
	if snap, err := s.Load("aws/1/eu"); snap != nil || err != nil {
		t.Fatalf("an empty directory gives %v, %v", snap, err)
	}
	for _, source := range []string{"aws/1/eu", "aws/1_eu", "gcp/p", "../x"} { // names that must not meet
		if err := s.Save(full(source)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Load("aws/1/eu")
	if err != nil || !reflect.DeepEqual(got, full("aws/1/eu")) {
		t.Errorf("came back as %+v, %v", got, err)
	}
	all, err := s.LoadAll()
	if err != nil || len(all) != 4 || all[0].Source != "../x" {
		t.Errorf("LoadAll: %d, %v", len(all), err)
	}
	entries, _ := os.ReadDir(s.Directory)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm()&^fileMode != 0 || strings.HasSuffix(e.Name(), ".new") {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) != 4 {
		t.Errorf("%d files for 4 sources", len(entries))
	}
}

// TestStoreEveryField: a field that does not come back from disk would be a name
// that a restart loses.
func TestStoreEveryField(t *testing.T) {
	var zero func(path string, v reflect.Value)
	zero = func(path string, v reflect.Value) {
		switch {
		case v.IsZero():
			t.Errorf("full leaves %s empty", path)
		case v.Kind() == reflect.Pointer:
			zero(path, v.Elem())
		case v.Kind() == reflect.Slice:
			zero(path+"[]", v.Index(0))
		case v.Kind() == reflect.Struct && v.Type().PkgPath() == reflect.TypeFor[Snapshot]().PkgPath():
			for i := range v.NumField() {
				zero(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	zero("Snapshot", reflect.ValueOf(full("s")))
}

func TestStoreBadFiles(t *testing.T) {
	s := Store{t.TempDir()}
	if err := s.Save(full("good")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ source, content, want string }{
		{"cut", `{"version":1,"snapshot":{"source":"cut"`, "no inventory"},
		{"empty", ``, "no inventory"},
		{"later", `{"version":2,"snapshot":{"source":"later"}}`, "format 2"},
		{"none", `{"version":1}`, "names no source"},
		{"other", `{"version":1,"snapshot":{"source":"someone"}}`, `is of "someone"`},
		{"address", `{"version":1,"snapshot":{"source":"address","interfaces":[{"id":"x","addresses":["10.0.0"]}]}}`, "no inventory"},
	} {
		if err := os.WriteFile(s.Path(tc.source), []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if snap, err := s.Load(tc.source); snap != nil || err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), s.Path(tc.source)) {
			t.Errorf("%s: %v, %v; want %q", tc.source, snap, err, tc.want)
		}
	}
	all, err := s.LoadAll()
	if err == nil || len(all) != 2 { // good, and other under its own name
		t.Errorf("LoadAll = %d, %v", len(all), err)
	}
	if _, err := (Store{filepath.Join(s.Directory, "nowhere")}).LoadAll(); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

func TestStoreCannotWrite(t *testing.T) {
	s := Store{filepath.Join(t.TempDir(), "nowhere")}
	if err := s.Save(full("aws/1")); err == nil || !strings.Contains(err.Error(), "save inventory of aws/1") {
		t.Errorf("%v", err)
	}
}
