package store

import (
	"context"
	"io"
)

// BackupWhile is Backup with a call of looked after each first look at the meta pages.
func BackupWhile(ctx context.Context, path, target string, looked func()) (Contents, error) {
	return snapshot{looked}.to(ctx, path, target)
}

// NewestTx is the transaction of the newest meta page.
func NewestTx(file io.ReaderAt) (uint64, error) {
	m, err := newestMeta(file)
	return m.tx(), err
}
