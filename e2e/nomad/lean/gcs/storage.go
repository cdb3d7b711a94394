// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package storage stands in for cloud.google.com/go/storage in a lean Nomad: it has what
// go-getter calls, and gives no client.
package storage

import (
	"context"
	"errors"

	"google.golang.org/api/option"
)

var errNone = errors.New("this Nomad is built for tests, without Google Cloud Storage")

type (
	// Client is never made, and nothing below is ever called.
	Client struct{}
	// BucketHandle is a bucket.
	BucketHandle struct{}
	// ObjectHandle is an object.
	ObjectHandle struct{}
	// ObjectIterator goes through objects.
	ObjectIterator struct{}
	// ObjectAttrs tells an object's name.
	ObjectAttrs struct{ Name string }
	// Query selects objects.
	Query struct{ Prefix string }
	// Reader reads an object.
	Reader struct{}
)

// NewClient returns an error.
func NewClient(context.Context, ...option.ClientOption) (*Client, error) { return nil, errNone }

// Bucket returns a bucket.
func (*Client) Bucket(string) *BucketHandle { return nil }

// Objects returns an iterator.
func (*BucketHandle) Objects(context.Context, *Query) *ObjectIterator { return nil }

// Object returns an object.
func (*BucketHandle) Object(string) *ObjectHandle { return nil }

// Next returns an error.
func (*ObjectIterator) Next() (*ObjectAttrs, error) { return nil, errNone }

// Generation returns an object.
func (*ObjectHandle) Generation(int64) *ObjectHandle { return nil }

// NewReader returns an error.
func (*ObjectHandle) NewReader(context.Context) (*Reader, error) { return nil, errNone }

// Read returns an error.
func (*Reader) Read([]byte) (int, error) { return 0, errNone }

// Close returns an error.
func (*Reader) Close() error { return errNone }
