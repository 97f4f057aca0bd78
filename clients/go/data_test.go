package shmd_test

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/daemon"
)

// exercise stores and loads one element type as value and array, through every
// way there is to an element.
func exercise[T interface {
	ctypes.Element
	comparable
}](t *testing.T, c *shmd.Client, x, y T) {
	t.Helper()
	code := ctypes.CodeOf[T]()
	v, err := shmd.CreateValue(t.Context(), c, "", x, shmd.ValueOptions{})
	if err != nil {
		t.Fatalf("'%s': %v", code, err)
	}
	defer v.Close()
	if got, err := v.Load(); got != x || err != nil {
		t.Errorf("'%s': the initial value is %v, %v; want %v", code, got, err, x)
	}
	if err := v.Store(y); err != nil {
		t.Errorf("'%s': %v", code, err)
	}
	if got, err := v.Load(); got != y || err != nil {
		t.Errorf("'%s': stored %v, loaded %v, %v", code, y, got, err)
	}
	a, err := shmd.CreateArray[T](t.Context(), c, "", shmd.ArrayOptions{Shape: []uint64{2, 3}})
	if err != nil {
		t.Fatalf("'%s': %v", code, err)
	}
	defer a.Close()
	a.View()[0] = x
	err = errors.Join(a.Store(1, y))
	if _, e := a.Write(t.Context(), 2, []T{x, y}); e != nil {
		err = errors.Join(err, e)
	}
	got := make([]T, 4)
	_, dirty, e := a.Read(t.Context(), 0, got)
	if err = errors.Join(err, e); err != nil || dirty || !slices.Equal(got, []T{x, y, x, y}) {
		t.Errorf("'%s': read %v, dirty %v, %v", code, got, dirty, err)
	}
	swapped, old, err := a.CompareExchange(0, x, y)
	if ctypes.Atomic(code) {
		if !swapped || old != x || err != nil {
			t.Errorf("'%s': compare-exchange: %v, %v, %v", code, swapped, old, err)
		}
		if old, err := a.Exchange(0, x); old != y || err != nil {
			t.Errorf("'%s': exchange: %v, %v", code, old, err)
		}
	} else {
		wantError(t, "compare-exchange of '"+code.String()+"'", err, shmd.ErrUnsupported)
	}
}

func TestElementTypes(t *testing.T) {
	c := dial(t, start(t, daemon.Config{}))
	exercise(t, c, ctypes.Char('a'), ctypes.Char(0xff))
	exercise(t, c, int8(math.MinInt8), math.MaxInt8)
	exercise(t, c, uint8(1), math.MaxUint8)
	exercise(t, c, ctypes.WChar('ä'), ctypes.WChar(0x10ffff))
	exercise(t, c, int16(math.MinInt16), math.MaxInt16)
	exercise(t, c, uint16(1), math.MaxUint16)
	exercise(t, c, int32(math.MinInt32), math.MaxInt32)
	exercise(t, c, uint32(1), math.MaxUint32)
	exercise(t, c, int64(math.MinInt64), math.MaxInt64)
	exercise(t, c, uint64(1), math.MaxUint64)
	exercise(t, c, float32(-0.5), math.MaxFloat32)
	exercise(t, c, math.Inf(-1), math.SmallestNonzeroFloat64)
	exercise(t, c, true, false)
	exercise(t, c, ctypes.Half(0x3c00), ctypes.Half(0x7bff))
}

// An int64 may stand for 'l' too, and nothing else may.
func TestCodeOption(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	v, err := shmd.CreateValue(ctx, c, "long", int64(-1), shmd.ValueOptions{
		DataOptions: shmd.DataOptions{Code: ctypes.CodeLong}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Code() != ctypes.CodeLong {
		t.Errorf("the code is '%s'", v.Code())
	}
	again, err := shmd.OpenValue[int64](ctx, c, "long")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	_, err = shmd.OpenValue[uint64](ctx, c, "long")
	wantError(t, "open 'l' as uint64", err, shmd.ErrTypeMismatch)
	_, err = shmd.CreateValue(ctx, c, "other", int32(0), shmd.ValueOptions{
		DataOptions: shmd.DataOptions{Code: ctypes.CodeLong}})
	wantError(t, "create 'l' from int32", err, shmd.ErrBadType)
}

func TestIndices(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	a, err := shmd.CreateArray[int16](ctx, c, "a", shmd.ArrayOptions{Shape: []uint64{2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if i, err := a.Index(1, 2); i != 5 || err != nil {
		t.Errorf("index (1, 2): %d, %v", i, err)
	}
	for _, at := range [][]int{{0}, {2, 0}, {0, -1}, {0, 0, 0}} {
		_, err := a.Index(at...)
		wantError(t, "index outside", err, shmd.ErrBadIndex)
	}
	for _, i := range []int{-1, 6, math.MaxInt} {
		_, err := a.Load(i)
		wantError(t, "load", err, shmd.ErrBadIndex)
		wantError(t, "store", a.Store(i, 1), shmd.ErrBadIndex)
		_, _, err = a.Read(ctx, i, make([]int16, 1))
		wantError(t, "read", err, shmd.ErrBadIndex)
		_, err = a.Write(ctx, i, []int16{1})
		wantError(t, "write", err, shmd.ErrBadIndex)
	}
	_, _, err = a.Read(ctx, 5, make([]int16, 2))
	wantError(t, "read across the end", err, shmd.ErrBadIndex)
	if _, _, err := a.Read(ctx, 6, nil); err != nil {
		t.Errorf("reading nothing: %v", err)
	}
	_, err = shmd.OpenOrCreateArray[int16](ctx, c, "a", shmd.ArrayOptions{Length: 6})
	wantError(t, "open with another shape", err, shmd.ErrShapeMismatch)
}

// A bracket keeps snapshots away, of mapped readers and of read-only ones, which
// wait at the daemon; its end is one change.
func TestBracket(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	a, err := shmd.CreateArray[int64](t.Context(), c, "a", shmd.ArrayOptions{Length: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	wantError(t, "a bracket without the lock", a.BeginWrite(), shmd.ErrNotOwner)
	_, err = a.Lock(t.Context())
	if err = errors.Join(err, a.BeginWrite(), a.BeginWrite()); err != nil {
		t.Fatal(err)
	}
	wantError(t, "unlock inside a bracket", a.Unlock(), shmd.ErrInvalid)
	version := a.Version()
	type cut struct {
		values  [2]int64
		version uint64
		err     error
	}
	cuts := make(chan cut)
	other := dial(t, s)
	for _, open := range []func() (*shmd.Array[int64], error){
		func() (*shmd.Array[int64], error) { return shmd.OpenArray[int64](t.Context(), other, "a") },
		func() (*shmd.Array[int64], error) { return shmd.OpenArrayReadOnly[int64](t.Context(), other, "a") },
	} {
		reader, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		go func() {
			var c cut
			c.version, _, c.err = reader.Read(t.Context(), 0, c.values[:])
			cuts <- c
		}()
	}
	a.View()[0], a.View()[1] = 1, 1
	if err := a.EndWrite(); err != nil { // the inner one: still not the end
		t.Error(err)
	}
	a.View()[0], a.View()[1] = 2, 2
	if err := errors.Join(a.EndWrite(), a.Unlock()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if c := <-cuts; c.err != nil || c.values != [2]int64{2, 2} && c.values != [2]int64{} {
			t.Errorf("a snapshot shows %v, %v", c.values, c.err)
		}
	}
	if got := a.Version(); got != version+1 {
		t.Errorf("one bracket moved the version from %d to %d", version, got)
	}
	wantError(t, "end without begin", a.EndWrite(), shmd.ErrNotOwner)
}

// Read-only handles read, and can do nothing else.
func TestReadOnly(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	v, err := shmd.CreateValue(ctx, c, "v", 1.5, shmd.ValueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	r, err := shmd.OpenValueReadOnly[float64](ctx, c, "v")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if x, err := r.Load(); x != 1.5 || err != nil {
		t.Errorf("load: %v, %v", x, err)
	}
	wantError(t, "store", r.Store(2), os.ErrPermission)
	_, err = r.Add(1)
	wantError(t, "add", err, shmd.ErrPermission)
	_, err = r.Lock(ctx)
	wantError(t, "lock", err, shmd.ErrPermission)
	version := r.Version()
	if err := v.Store(2); err != nil {
		t.Fatal(err)
	}
	if now, err := r.WaitChange(ctx, version); now != version+1 || err != nil {
		t.Errorf("wait: %d, %v; want %d", now, err, version+1)
	}
}

// One mutex guards several arrays; it may be reached through each of them.
func TestForeignLock(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	m, err := shmd.CreateMutex(ctx, c, "m", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	options := shmd.ArrayOptions{Length: 1, DataOptions: shmd.DataOptions{Mutex: m}}
	a, err := shmd.CreateArray[int32](ctx, c, "a", options)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := shmd.CreateArray[int32](ctx, c, "b", options)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := a.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = b.TryLock()
	wantError(t, "the lock through the other array", err, shmd.ErrWouldBlock)
	_, err = m.TryLock()
	wantError(t, "the lock itself", err, shmd.ErrWouldBlock)
	if err := errors.Join(a.BeginWrite(), a.EndWrite(), a.Unlock()); err != nil {
		t.Error(err)
	}

	// One critical section over both arrays, whichever handle took the lock.
	_, err = m.Lock(ctx)
	if err := errors.Join(err, a.BeginWrite(), b.BeginWrite(), a.EndWrite(), b.EndWrite(), m.Unlock()); err != nil {
		t.Error(err)
	}
	_, err = a.Lock(ctx)
	if err := errors.Join(err, b.BeginWrite(), b.EndWrite(), m.MarkConsistent(), b.Unlock()); err != nil {
		t.Error(err)
	}

	// Who dies with the mutex leaves all its arrays dirty.
	dying := dial(t, s)
	held, err := shmd.OpenArray[int32](ctx, dying, "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if err := held.BeginWrite(); err != nil {
		t.Fatal(err)
	}
	if err := dying.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Lock(ctx); n == nil || err != nil {
		t.Errorf("no notice through the other array: %v, %v", n, err)
	}
	if _, dirty, err := b.Read(ctx, 0, make([]int32, 1)); !dirty || err != nil {
		t.Errorf("the array that was written is not dirty: %v", err)
	}
	if err := errors.Join(a.Unlock(), m.Close()); err != nil {
		t.Error(err)
	}
}

// A destroyed array cannot be locked any more, though its foreign lock lives on, and
// can be unlocked through any handle by who holds it.
func TestDestroyedUnderForeignLock(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	m, err := shmd.CreateMutex(ctx, c, "m", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	options := shmd.ArrayOptions{Length: 1, DataOptions: shmd.DataOptions{Mutex: m}}
	a, err := shmd.CreateArray[int32](ctx, c, "a", options)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Destroy(ctx, "a"), a.Unlock()); err != nil {
		t.Fatal(err)
	}
	_, err = a.Lock(ctx)
	wantError(t, "lock of a destroyed array", err, shmd.ErrRemoved)
	if _, err := m.TryLock(); err != nil {
		t.Errorf("its mutex: %v", err)
	}
	if err := m.Unlock(); err != nil {
		t.Error(err)
	}
}

// A view stays valid after Close, and so does what other handles see.
func TestViewAfterClose(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	a, err := shmd.CreateArray[uint8](ctx, c, "a", shmd.ArrayOptions{Length: 4})
	if err != nil {
		t.Fatal(err)
	}
	view := a.View()
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	view[3] = 9
	_, err = a.Load(0)
	wantError(t, "load after close", err, os.ErrClosed)
	again, err := shmd.OpenArray[uint8](ctx, c, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.Load(3); got != 9 || err != nil {
		t.Errorf("loaded %d, %v", got, err)
	}
}

// The memory of a handle that nobody can reach any more goes, unless a view of it
// was handed out.
func TestMappingsGo(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	const length = 1 << 20
	a, err := shmd.CreateArray[uint8](ctx, c, "a", shmd.ArrayOptions{Length: length})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	mapped := func() int {
		t.Helper()
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "/memfd:shmd-")
	}
	before := mapped()
	const handles = 20
	views := make([][]uint8, 0, handles/2)
	for i := range handles {
		h, err := shmd.OpenArray[uint8](ctx, c, "a")
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			views = append(views, h.View())
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	until, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for mapped() > before+len(views) {
		if until.Err() != nil {
			t.Fatalf("%d segments are mapped, %d were, and %d views are held", mapped(), before, len(views))
		}
		runtime.GC()
	}
	for _, view := range views {
		view[length-1]++
	}
	if got := views[0][length-1]; int(got) != len(views) {
		t.Errorf("the views show %d, want %d", got, len(views))
	}
}

func TestNoLock(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	options := shmd.ArrayOptions{Length: 2, DataOptions: shmd.DataOptions{NoLock: true}}
	a, err := shmd.CreateArray[int32](ctx, c, "", options)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_, err = a.Lock(ctx)
	wantError(t, "lock", err, shmd.ErrUnsupported)
	wantError(t, "bracket", a.BeginWrite(), shmd.ErrUnsupported)
	if old, err := a.Add(1, 5); old != 0 || err != nil {
		t.Errorf("add: %d, %v", old, err)
	}
	if _, err := a.Write(ctx, 0, []int32{3}); err != nil {
		t.Error(err)
	}
	got := make([]int32, 2)
	if _, _, err := a.Read(ctx, 0, got); err != nil || !slices.Equal(got, []int32{3, 5}) {
		t.Errorf("read %v, %v", got, err)
	}
}
