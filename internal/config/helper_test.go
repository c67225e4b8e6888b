package config

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fulmen/persist/vfs"
)

// testEnv is a machine with four processors, a few directories and no files.
func testEnv(t testing.TB) Env {
	t.Helper()
	return Env{Version: "0.1", Cwd: "/srv", CPUs: 4, Files: memFiles{}}
}

// memFiles is a file system of files by absolute path, which can only be read. Every directory exists, but /nosuch.
type memFiles map[string]string

func (f memFiles) ReadFile(name string) ([]byte, error) {
	if content, ok := f[name]; ok {
		return []byte(content), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (f memFiles) Glob(pattern string) ([]string, error) {
	var found []string
	for name := range f {
		if ok, err := filepath.Match(pattern, name); err != nil {
			return nil, err
		} else if ok {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found, nil
}

func (f memFiles) Stat(name string) (fs.FileInfo, error) {
	if name == "/nosuch" {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	_, isFile := f[name]
	return memInfo{name: name, dir: !isFile}, nil
}

var errReadOnly = errors.New("read only")

func (memFiles) Create(string, fs.FileMode) (vfs.File, error)     { return nil, errReadOnly }
func (memFiles) OpenAppend(string, fs.FileMode) (vfs.File, error) { return nil, errReadOnly }
func (memFiles) OpenWrite(string) (vfs.File, error)               { return nil, errReadOnly }
func (memFiles) NewSyncer() vfs.Syncer                            { return vfs.OneByOne{} }
func (memFiles) CreateShared(string, int64) (vfs.Shared, error)   { return nil, errReadOnly }
func (memFiles) OpenPrivate(string) (vfs.Reader, error)           { return nil, errReadOnly }
func (memFiles) Open(string) (vfs.Reader, error)                  { return nil, errReadOnly }
func (memFiles) ReadDir(string) ([]string, error)                 { return nil, errReadOnly }
func (memFiles) Lock(string) (io.Closer, error)                   { return nil, errReadOnly }
func (memFiles) Rename(string, string) error                      { return errReadOnly }
func (memFiles) Link(string, string) error                        { return errReadOnly }
func (memFiles) Remove(string) error                              { return errReadOnly }
func (memFiles) MkdirAll(string, fs.FileMode) error               { return errReadOnly }
func (memFiles) Chmod(string, fs.FileMode) error                  { return errReadOnly }
func (memFiles) SyncDir(string) error                             { return errReadOnly }

type memInfo struct {
	name string
	dir  bool
}

func (i memInfo) Name() string       { return filepath.Base(i.name) }
func (i memInfo) Size() int64        { return 0 }
func (i memInfo) Mode() fs.FileMode  { return 0 }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }

// loadText loads content as the file /srv/test.conf.
func loadText(t testing.TB, content string) (*Config, error) {
	t.Helper()
	env := testEnv(t)
	env.Files = memFiles{"/srv/test.conf": content}
	return Load([]string{"test.conf"}, env)
}

// mustLoad is loadText for content that is right.
func mustLoad(t testing.TB, content string) *Config {
	t.Helper()
	c, err := loadText(t, content)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
