//go:build tools

// Package kwok names the emulator of nodes that Lightship is compared with.
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
