package tlsmeta

import (
	"reflect"
	"testing"
)

// Infos that differ in anything are not the same: whatever field is added must be
// compared.
func TestSame(t *testing.T) {
	full := func() *Info { return &Info{} }
	if a, b := full(), full(); !a.Same(b) || a.Hash() != b.Hash() {
		t.Error("empty ones are not the same")
	}
	x := reflect.TypeFor[Info]()
	for i := range x.NumField() {
		f := x.Field(i)
		if !f.IsExported() {
			continue
		}
		other := full()
		v := reflect.ValueOf(other).Elem().Field(i)
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Uint8, reflect.Uint16:
			v.SetUint(1)
		case reflect.String:
			v.SetString("a")
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		default:
			t.Fatalf("%s is a %v", f.Name, v.Kind())
		}
		if full().Same(other) || other.Same(full()) || !other.Same(other) {
			t.Errorf("%s is not compared", f.Name)
		}
		// What may be of many values must lead to many hashes.
		if k := v.Kind(); (k == reflect.Slice || k == reflect.String) && full().Hash() == other.Hash() {
			t.Errorf("%s is not hashed", f.Name)
		}
	}
}
