//go:build tools

// Package operators names the managers whose custom kinds Lightship serves too: Trainer, JobSet, Kueue, LeaderWorkerSet.
package operators

import (
	_ "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager"
	_ "sigs.k8s.io/jobset"
	_ "sigs.k8s.io/kueue/cmd/kueue"
	_ "sigs.k8s.io/lws/cmd"
)
