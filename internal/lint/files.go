package lint

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ReadTree reads the files below root that git tracks or would track; without git, all but hidden folders and bin.
func ReadTree(root string) ([]File, error) {
	names, err := gitFiles(root)
	if err != nil {
		names, err = walkFiles(root)
	}
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // tracked, but removed and not committed
		}
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: name, Text: text})
	}
	return files, nil
}

func gitFiles(root string) ([]string, error) {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

func walkFiles(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		local, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() && (local == "bin" || local == ".git") {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			names = append(names, filepath.ToSlash(local))
		}
		return nil
	})
	return names, err
}
