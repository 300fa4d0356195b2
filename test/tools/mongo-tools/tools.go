//go:build tools

// Names the programs, so that `go mod tidy` keeps what they need.
package tools

import (
	_ "github.com/mongodb/mongo-tools/mongodump/main"
	_ "github.com/mongodb/mongo-tools/mongorestore/main"
	_ "github.com/mongodb/mongo-tools/bsondump/main"
)
