package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// bbolt follows what stands in a page without looking twice: upon a damaged one it panics, reads outside the mapped file, which ends the
// process, or writes over pages in use; its own Tx.Check can loop for billions of rounds. So the pages are checked here before bbolt
// reads them, with nothing but ReadAt.
//
// The format is that of bbolt's internal/common/{page,meta,inode,bucket}.go, version 2, in the byte order of the machine:
//
//	page           id 8 · flags 2 · count 2 · overflow 4 (further pages that belong to it) · elements
//	meta           magic 4 · version 4 · page size 4 · flags 4 · root bucket 16 · free list's page 8 · number of pages 8 ·
//	               transaction 8 · checksum 8; it follows a page's first 16 bytes
//	branch element offset of key 4 · size of key 4 · page 8
//	leaf element   flags 4 · offset of key 4 · size of key 4 · size of value 4 (the value follows the key)
//	bucket         root page 8 · sequence 8; root page 0: a page with its elements follows
//	free list      ids of 8 bytes; count 0xffff: the first of them is the count
const (
	pageHead    = 16
	elementSize = 16
	bucketSize  = 16

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01
	noFreelist    = ^uint64(0)
	longFreelist  = 0xffff
)

// pages checks one state of a file.
type pages struct {
	file io.ReaderAt
	size int             // of a page
	n    uint64          // how many pages there are
	used map[uint64]bool // seen so far, overflow included
}

// checkPages checks all that a transaction can reach, and the free list. bbolt has validated the meta page that tx begins with.
func checkPages(file io.ReaderAt, tx *bbolt.Tx) error {
	p := &pages{file: file, size: tx.DB().Info().PageSize, used: map[uint64]bool{0: true, 1: true}}
	meta := make([]byte, pageHead+64)
	if _, err := file.ReadAt(meta, int64(tx.ID()%2)*int64(p.size)); err != nil {
		return fmt.Errorf("read meta page: %w", err)
	}
	meta = meta[pageHead:]
	root, freelist := u64(meta[16:]), u64(meta[32:])
	p.n = u64(meta[40:])
	if err := p.tree(root, nil, nil); err != nil {
		return err
	}
	if freelist == noFreelist {
		return nil // bbolt makes it from what is not reachable
	}
	return p.freelist(freelist)
}

var (
	u16 = binary.NativeEndian.Uint16
	u32 = binary.NativeEndian.Uint32
	u64 = binary.NativeEndian.Uint64
)

// take reads a page with its overflow, each once.
func (p *pages) take(id uint64) ([]byte, error) {
	head := make([]byte, pageHead)
	if id < 2 || id >= p.n {
		return nil, fmt.Errorf("page %d is outside of %d", id, p.n)
	}
	if _, err := p.file.ReadAt(head, int64(id)*int64(p.size)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	more := uint64(u32(head[12:]))
	if u64(head) != id || more >= p.n-id {
		return nil, fmt.Errorf("page %d says it is page %d and %d more", id, u64(head), more)
	}
	for i := id; i <= id+more; i++ {
		if p.used[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		p.used[i] = true
	}
	page := make([]byte, (more+1)*uint64(p.size))
	if _, err := p.file.ReadAt(page, int64(id)*int64(p.size)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return page, nil
}

// tree checks a page and what is below it. Its keys are at least from and less than to; nil: any.
func (p *pages) tree(id uint64, from, to []byte) error {
	page, err := p.take(id)
	if err != nil {
		return err
	}
	if err := p.page(page, from, to); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (p *pages) page(page, from, to []byte) error {
	switch flags := u16(page[8:]); flags {
	case leafPage:
		return p.leaf(page, from, to)
	case branchPage:
		return p.branch(page, from, to)
	default:
		return fmt.Errorf("unexpected flags %#x", flags)
	}
}

func (p *pages) branch(page, from, to []byte) error {
	elements, err := elementsOf(page)
	if err != nil {
		return err
	}
	if len(elements) == 0 {
		return errors.New("a branch without elements")
	}
	keys := make([][]byte, len(elements))
	for i, at := range elements {
		if keys[i], err = cut(page, at, u32(page[at:]), u32(page[at+4:])); err != nil {
			return err
		}
	}
	if err := inOrder(keys, from, to); err != nil {
		return err
	}
	for i, at := range elements {
		next := to
		if i+1 < len(keys) {
			next = keys[i+1]
		}
		if err := p.tree(u64(page[at+8:]), keys[i], next); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) leaf(page, from, to []byte) error {
	elements, err := elementsOf(page)
	if err != nil {
		return err
	}
	keys := make([][]byte, len(elements))
	for i, at := range elements {
		flags, offset, keySize, size := u32(page[at:]), u32(page[at+4:]), u32(page[at+8:]), u32(page[at+12:])
		if keys[i], err = cut(page, at, offset, keySize); err != nil {
			return err
		}
		value, err := cut(page, at+int(offset)+int(keySize), 0, size)
		if err != nil {
			return err
		}
		switch flags {
		case 0:
		case bucketElement:
			if err := p.bucket(value); err != nil {
				return fmt.Errorf("bucket %q: %w", keys[i], err)
			}
		default:
			return fmt.Errorf("an element with flags %#x", flags)
		}
	}
	return inOrder(keys, from, to)
}

func (p *pages) bucket(value []byte) error {
	if len(value) < bucketSize {
		return fmt.Errorf("only %d bytes", len(value))
	}
	if root := u64(value); root != 0 {
		return p.tree(root, nil, nil)
	}
	inline := value[bucketSize:]
	if len(inline) < pageHead || u16(inline[8:]) != leafPage {
		return errors.New("no page of its own and none within")
	}
	return p.leaf(inline, nil, nil)
}

// elementsOf lists where a page's elements stand.
func elementsOf(page []byte) ([]int, error) {
	n := int(u16(page[10:]))
	if pageHead+n*elementSize > len(page) {
		return nil, fmt.Errorf("no room for %d elements", n)
	}
	at := make([]int, n)
	for i := range at {
		at[i] = pageHead + i*elementSize
	}
	return at, nil
}

// cut takes size bytes from an offset after at.
func cut(page []byte, at int, offset, size uint32) ([]byte, error) {
	start := uint64(at) + uint64(offset)
	end := start + uint64(size)
	if end > uint64(len(page)) {
		return nil, fmt.Errorf("%d bytes at %d end outside", size, start)
	}
	return page[start:end:end], nil
}

func inOrder(keys [][]byte, from, to []byte) error {
	for i, key := range keys {
		switch {
		case len(key) == 0:
			return errors.New("an empty key")
		case i == 0 && bytes.Compare(key, from) < 0, i > 0 && bytes.Compare(key, keys[i-1]) <= 0, to != nil && bytes.Compare(key, to) >= 0:
			return fmt.Errorf("the key %q is out of order", key)
		}
	}
	return nil
}

// freelist checks that what is free is not in use, nor free twice.
func (p *pages) freelist(id uint64) error {
	page, err := p.take(id)
	if err != nil {
		return err
	}
	if flags := u16(page[8:]); flags != freelistPage {
		return fmt.Errorf("page %d is no free list: flags %#x", id, flags)
	}
	ids, n := page[pageHead:], uint64(u16(page[10:]))
	if n == longFreelist {
		n, ids = u64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return fmt.Errorf("the free list has no room for %d pages", n)
	}
	for i := range n {
		free := u64(ids[8*i:])
		if free < 2 || free >= p.n || p.used[free] {
			return fmt.Errorf("page %d is free and in use, or outside of %d", free, p.n)
		}
		p.used[free] = true
	}
	return nil
}
