// Command clients runs what Go programs do with a Kubernetes API server, with the libraries that nearly all of them use: client-go and
// controller-runtime. Each subcommand prints a line for each thing that holds and ends with 1 at the first that does not.
//
//	clients -kubeconfig FILE typed|dynamic|informers|election|discovery|apply|errors|protobuf|manager|all
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// env is what every subcommand gets: the server, and a namespace of its own.
type env struct {
	config    *rest.Config
	clients   kubernetes.Interface
	namespace string
}

type program func(ctx context.Context, e *env) error

var order = []string{"typed", "dynamic", "informers", "election", "discovery", "apply", "errors", "protobuf", "manager"}

var all = map[string]program{
	"typed":     typed,
	"dynamic":   dynamically,
	"informers": informed,
	"election":  election,
	"discovery": discovered,
	"apply":     applied,
	"errors":    refused,
	"protobuf":  encoded,
	"manager":   managed,
}

func main() {
	flags := flag.NewFlagSet("clients", flag.ExitOnError) // controller-runtime has put a -kubeconfig of its own into the common one
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "file that names the server and its administrator")
	limit := flags.Duration("timeout", 2*time.Minute, "time for each subcommand")
	verbose := flags.Bool("v", false, "what the libraries log")
	_ = flags.Parse(os.Args[1:])
	if !*verbose {
		klog.SetLogger(klog.Logger{})
	}
	wanted := flags.Args()
	if len(wanted) == 0 || wanted[0] == "all" {
		wanted = order
	}
	for _, name := range wanted {
		if err := run(name, *kubeconfig, *limit); err != nil {
			fmt.Printf("FAILED %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

func run(name, kubeconfig string, limit time.Duration) error {
	part, known := all[name]
	if !known {
		return fmt.Errorf("no such subcommand; there are: %s", strings.Join(order, ", "))
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	config.WarningHandler = rest.NoWarnings{}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	wish := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "clients-" + name + "-"}}
	made, err := clients.CoreV1().Namespaces().Create(ctx, wish, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer func() {
		_ = clients.CoreV1().Namespaces().Delete(context.Background(), made.Name, metav1.DeleteOptions{})
	}()
	return part(ctx, &env{config: config, clients: clients, namespace: made.Name})
}

// ok says that something holds.
func ok(format string, values ...any) {
	fmt.Printf("OK %s\n", fmt.Sprintf(format, values...))
}

// must turns a condition into an error.
func must(condition bool, format string, values ...any) error {
	if condition {
		return nil
	}
	return fmt.Errorf(format, values...)
}

// first is the first error of several, so that short checks read as a list.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// reason tells whether an error has that reason.
func reason(err error, want metav1.StatusReason) error {
	return must(apierrors.ReasonForError(err) == want, "wanted %s, got: %v", want, err)
}

// until asks again and again until it holds or the time is over.
func until(ctx context.Context, what string, holds func() (bool, error)) error {
	var last error
	for {
		done, err := holds()
		if done {
			return nil
		}
		if err != nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: never so; last error: %v", what, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
