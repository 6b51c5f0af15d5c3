package storetest

import (
	"fmt"
	"reflect"
	"time"
)

// Filled returns a T in which nothing is zero at any depth: every field set, every pointer followed, two elements in every list and
// map, every value another one, and every time in a zone that is not UTC. What comes back different from a round trip was lost on
// the way. It panics on a type that it cannot fill, such as one with unexported fields: whoever adds one decides how it is stored.
func Filled[T any]() T {
	var v T
	f := filler{}
	f.fill(reflect.ValueOf(&v).Elem())
	return v
}

type filler struct{ n int64 }

var (
	firstTime = time.Date(2026, 11, 23, 9, 30, 0, 123456789, time.FixedZone("", 2*60*60))
	timeType  = reflect.TypeFor[time.Time]()
)

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(elem)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		f.fillStruct(v)
	default:
		panic(fmt.Sprintf("fill %s: it cannot be stored", v.Type()))
	}
}

func (f *filler) fillStruct(v reflect.Value) {
	if v.Type() == timeType {
		v.Set(reflect.ValueOf(firstTime.Add(time.Duration(f.n) * time.Hour)))
		return
	}
	for field, value := range v.Fields() {
		if !field.IsExported() {
			panic(fmt.Sprintf("fill %s: %s is not exported", v.Type(), field.Name))
		}
		f.fill(value)
	}
}
