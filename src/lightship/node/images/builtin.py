"""The images that are known without being told: those of our runtimes, and the ones that examples and test suites use everywhere.

A table and nothing else. Entries need what a machine has anyway, or name the Debian package that brings it. `e2e-test-images` are those
of Kubernetes' own tests; the ones that are programs of Kubernetes are mapped by whoever has built them.
"""

from .table import Entry

SLEEP = ["sleep", "2147483647"]
SHELL = ["sh"]
TORCH = ["torch=={tag}", "numpy", "scikit-learn"]
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
    Entry("pytorch/pytorch:latest", ["torch", "numpy", "scikit-learn"], command=["bash"]),
    Entry("pytorch/pytorch:[0-9]*", TORCH, command=["bash"]),
    Entry("ghcr.io/kubeflow/trainer/xgboost-runtime", ["xgboost", "numpy", "scikit-learn"], command=["bash"]),
    Entry("ghcr.io/kubeflow/trainer/torchtune-trainer", ["torch", "torchao", "torchtune==0.6.1"], command=["bash"]),
    Entry("ghcr.io/kubeflow/trainer/mlx-runtime", ["mlx", "mlx-lm"], command=["bash"]),
    Entry("nvcr.io/nvidia/jax", ["jax", "numpy"], command=["bash"]),
)
