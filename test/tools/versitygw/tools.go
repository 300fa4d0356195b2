//go:build tools

// Names the programs, so that `go mod tidy` keeps what they need.
package tools

import (
	_ "github.com/versity/versitygw/cmd/versitygw"
)
