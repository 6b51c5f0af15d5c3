package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

func TestFilled(t *testing.T) {
	checkFilled(t, reflect.ValueOf(Filled[rotation.Progress]()), "Progress")
	checkFilled(t, reflect.ValueOf(Filled[rotation.Entry]()), "Entry")
}

func checkFilled(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is zero", path)
	}
	switch v.Kind() {
	case reflect.Pointer:
		checkFilled(t, v.Elem(), path)
	case reflect.Slice:
		if v.Len() != 2 {
			t.Errorf("%s has %d elements", path, v.Len())
		}
		for i := range v.Len() {
			checkFilled(t, v.Index(i), path+"[]")
		}
	case reflect.Map:
		if v.Len() != 2 {
			t.Errorf("%s has %d elements", path, v.Len())
		}
		for _, elem := range v.Seq2() {
			checkFilled(t, elem, path+"[]")
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for field, value := range v.Fields() {
			checkFilled(t, value, path+"."+field.Name)
		}
	}
}

func TestFilled_Refuses(t *testing.T) {
	for _, test := range []struct {
		name string
		fill func()
	}{
		{"unexported", func() { Filled[rotation.Secret]() }},
		{"interface", func() { Filled[struct{ V any }]() }},
		{"func", func() { Filled[struct{ F func() }]() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("filled")
				}
			}()
			test.fill()
		})
	}
}
