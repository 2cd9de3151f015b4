//go:build tools

// Package helm names the package manager that Lightship serves unmodified.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
