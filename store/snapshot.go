package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"time"
)

// snapshot copies one committed state of a bbolt file that another process may be writing to.
//
// A running keyturner holds bbolt's exclusive lock, so bbolt cannot open the file a second time, not even for reading. It could be asked
// to make the copy itself, but it has no port to be asked through, and a backup should work when it hangs. So the copy is made without
// the lock, and afterwards it is known whether it is good. That rests on how bbolt v1.5 commits transaction T:
//
//   - T writes its pages, its free list, and then its meta page into slot T%2 (tx.go, Commit). It allocates only pages that are free
//     or beyond the end.
//   - What it replaces is pending, not free, until the next writer begins (freelist/shared.go, Free and ReleasePendingPages). So
//     T+1 writes over pages that only T-1 and earlier ones led to, and what the meta page of T leads to, the free list included, stays as
//     it is until T+2 begins, for which T+1 has to have written its meta page. A transaction that is rolled back changes nothing in this.
//   - A file grows, and never shrinks. The pages below T's high-water mark are in it when T's meta page is.
//
// Hence: look for the newest meta page, T; copy all pages below its high-water mark; look again. If T is still the newest, T+1 had not
// written its meta page when the last page was read, and all that T leads to is as T left it. If not, try again. Pages that T does not
// lead to may be half written in the copy; nothing reads them. So are the pages of T-1, for which reason its meta page, the other one,
// is not copied: T's takes both slots.
//
// A meta page that is just being written has a wrong checksum and counts as not written. The two looks need no care for their
// order: T+1 is written to the slot that T is not in, and T+2 begins only after that. T may not be on the disk of the original yet; nobody
// has been told then that it is stored, and in the copy it is whole.
type snapshot struct {
	looked func() // after the first look, for tests, which write then; nil: nothing
}

// How long a file is tried that is being written to, and how the pauses in between grow.
const (
	patience     = 30 * time.Second
	firstPause   = time.Millisecond
	longestPause = 250 * time.Millisecond
)

// copy makes dst the newest state of src.
func (s snapshot) copy(ctx context.Context, src, dst *os.File) error {
	end := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		m, err := newestMeta(src)
		if err != nil {
			return err
		}
		if s.looked != nil {
			s.looked()
		}
		if err := copyPages(src, dst, m); err != nil {
			return err
		}
		again, err := newestMeta(src)
		if err != nil {
			return err
		}
		if again == m {
			return writeMetas(dst, m)
		}
		if time.Now().Add(pause).After(end) {
			return fmt.Errorf("it was written to during each try in %s: try again when keyturner has less to do, or stop it first", patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// copyPages copies what m may lead to: all but the two meta pages.
func copyPages(src, dst *os.File, m meta) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if m.pages() > uint64(info.Size()/m.pageSize()) {
		return damaged(fmt.Errorf("truncated: %d bytes are left of %d pages of %d", info.Size(), m.pages(), m.pageSize()))
	}
	whole, head := int64(m.pages())*m.pageSize(), 2*m.pageSize()
	// In plain reads and writes: some file systems have copied files in use wrongly when left to do it themselves.
	n, err := io.CopyBuffer(io.NewOffsetWriter(dst, head), io.NewSectionReader(src, head, whole-head), make([]byte, 1<<20))
	if err == nil && n < whole-head {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("copy its pages: %w", err)
	}
	return nil
}

// writeMetas writes m to both slots, as transactions T and T-1. bbolt goes by the higher one and writes the next over the lower one; with
// either it finds the same state. Its own copies (Tx.WriteTo) are made likewise. T-1 is no overflow: the transactions 0 and 1 are those of
// a new file, which holds nothing and is refused.
func writeMetas(dst *os.File, m meta) error {
	for _, tx := range []uint64{m.tx(), m.tx() - 1} {
		slot := tx % 2
		page := make([]byte, m.pageSize())
		binary.NativeEndian.PutUint64(page, slot)
		binary.NativeEndian.PutUint16(page[8:], metaPage)
		binary.NativeEndian.PutUint64(m[48:], tx)
		binary.NativeEndian.PutUint64(m[56:], m.sum())
		copy(page[pageHead:], m[:])
		if _, err := dst.WriteAt(page, int64(slot)*m.pageSize()); err != nil {
			return fmt.Errorf("write meta page: %w", err)
		}
	}
	return nil
}

// meta is the content of a meta page, laid out as pages.go says.
type meta [64]byte

const (
	metaPage    = 0x04
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	// bbolt looks for the second meta page at these page sizes, and the powers of two in between.
	leastPage = 1 << 10
	mostPage  = 1 << 24
)

func (m *meta) pageSize() int64 { return int64(u32(m[8:])) }
func (m *meta) pages() uint64   { return u64(m[40:]) }
func (m *meta) tx() uint64      { return u64(m[48:]) }

func (m *meta) sum() uint64 {
	h := fnv.New64a()
	h.Write(m[:56])
	return h.Sum64()
}

func (m *meta) valid() bool {
	size := m.pageSize()
	return u32(m[:]) == boltMagic && u32(m[4:]) == boltVersion && u64(m[56:]) == m.sum() &&
		size >= leastPage && size <= mostPage && size&(size-1) == 0 && m.pages() > 2
}

// newestMeta finds the meta page that bbolt would begin with: the valid one of the highest transaction.
func newestMeta(file io.ReaderAt) (meta, error) {
	var newest meta
	look := func(at int64) error {
		var m meta
		_, err := file.ReadAt(m[:], at+pageHead)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if m.valid() && (at == 0 || at == m.pageSize()) && (newest == meta{} || m.tx() > newest.tx()) {
			newest = m
		}
		return err
	}
	if err := look(0); err != nil {
		return meta{}, err
	}
	for size := int64(leastPage); size <= mostPage; size *= 2 {
		if newest != (meta{}) && newest.pageSize() != size {
			continue
		}
		if err := look(size); err != nil {
			return meta{}, err
		}
	}
	// Again: a fast writer may have been writing the first one then, and the second one later, but was done with the first by that time.
	if err := look(0); err != nil {
		return meta{}, err
	}
	if newest == (meta{}) {
		return meta{}, damaged(errors.New("neither of its meta pages is valid"))
	}
	return newest, nil
}
