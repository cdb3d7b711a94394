// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// write makes one release file, whole or not at all.
func (r *release) write(name string, fill func(*os.File) error) (err error) {
	out, err := os.CreateTemp(r.out, "."+name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", name, err), os.Remove(out.Name()))
		}
	}()
	err = errors.Join(fill(out), out.Chmod(0o644), out.Close())
	if err != nil {
		return err
	}
	return os.Rename(out.Name(), filepath.Join(r.out, name))
}

// each calls add for every folder and every file below top, parents first.
func each(top string, files []file, add func(name string, mode fs.FileMode, data []byte) error) error {
	made := map[string]bool{".": true}
	var folder func(name string) error
	folder = func(name string) error {
		if made[name] {
			return nil
		}
		if err := folder(path.Dir(name)); err != nil {
			return err
		}
		made[name] = true
		return add(name+"/", fs.ModeDir|0o755, nil)
	}
	for _, f := range files {
		if f.archive == "" {
			continue
		}
		data, err := f.read()
		if err != nil {
			return err
		}
		name := path.Join(top, f.archive)
		if err := folder(path.Dir(name)); err != nil {
			return err
		}
		if err := add(name, f.mode, data); err != nil {
			return err
		}
	}
	return nil
}

// writeTar writes a tar.gz of files in the folder top, all of them root's.
func writeTar(out io.Writer, top string, files []file, at time.Time) error {
	packer, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(packer)
	err = each(top, files, func(name string, mode fs.FileMode, data []byte) error {
		header := &tar.Header{Name: name, Mode: int64(mode.Perm()), Size: int64(len(data)), ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatGNU}
		if mode.IsDir() {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	})
	return errors.Join(err, w.Close(), packer.Close())
}

// writeZip writes a zip of files in the folder top.
func writeZip(out io.Writer, top string, files []file, at time.Time) error {
	w := zip.NewWriter(out)
	err := each(top, files, func(name string, mode fs.FileMode, data []byte) error {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at}
		header.SetMode(mode)
		if mode.IsDir() {
			header.Method = zip.Store
		}
		entry, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = entry.Write(data)
		return err
	})
	return errors.Join(err, w.Close())
}

// compressed is text as gzip -9n makes it.
func compressed(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}
