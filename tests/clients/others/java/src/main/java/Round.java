// One round with fabric8's Java client: create, list, watch, patch, apply, informer, log, exec, delete; ends with 0 when all hold.
import io.fabric8.kubernetes.api.model.*;
import io.fabric8.kubernetes.client.*;
import io.fabric8.kubernetes.client.dsl.ExecWatch;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.io.ByteArrayOutputStream;
import java.util.*;
import java.util.concurrent.*;

public class Round {
    static void check(String name, boolean holds, Object found) {
        if (!holds) throw new AssertionError(name + ": " + found);
        System.out.println("ok " + name);
    }

    static ConfigMap map(String name, Map<String, String> data) {
        return new ConfigMapBuilder().withNewMetadata().withName(name).addToLabels("app", "java").endMetadata().withData(data).build();
    }

    public static void main(String[] arguments) throws Exception {
        String namespace = "java-" + System.currentTimeMillis();
        try (KubernetesClient client = new KubernetesClientBuilder().build()) {
            client.namespaces().resource(new NamespaceBuilder().withNewMetadata().withName(namespace).endMetadata().build()).create();
            var maps = client.configMaps().inNamespace(namespace);
            ConfigMap made = maps.resource(map("m", Map.of("x", "1"))).create();
            check("create", made.getMetadata().getUid() != null, made);
            try {
                maps.resource(map("m", Map.of())).create();
                check("a conflict is told", false, "");
            } catch (KubernetesClientException error) {
                check("a conflict is told", error.getCode() == 409, error);
            }
            check("list", maps.withLabel("app", "java").list().getItems().size() == 1, "");
            made = maps.withName("m").patch(PatchContext.of(PatchType.JSON_MERGE), "{\"data\":{\"y\":\"2\"}}");
            check("merge patch", made.getData().equals(Map.of("x", "1", "y", "2")), made.getData());
            made = maps.withName("m").patch(PatchContext.of(PatchType.STRATEGIC_MERGE), "{\"data\":{\"x\":null}}");
            check("strategic merge patch", made.getData().equals(Map.of("y", "2")), made.getData());
            made = maps.withName("m").edit(found -> new ConfigMapBuilder(found).addToData("z", "3").build());
            check("edit by JSON patch", made.getData().get("z").equals("3"), made.getData());
            ConfigMap applied = maps.resource(map("applied", Map.of("a", "1"))).fieldManager("java").forceConflicts().serverSideApply();
            check("apply", applied.getMetadata().getManagedFields().get(0).getOperation().equals("Apply"), applied);

            List<String> seen = Collections.synchronizedList(new ArrayList<>());
            CountDownLatch gone = new CountDownLatch(1);
            Watcher<ConfigMap> watcher = new Watcher<>() {
                public void eventReceived(Action action, ConfigMap found) {
                    seen.add(action.name());
                    if (action == Action.DELETED) gone.countDown();
                }

                public void onClose(WatcherException cause) {}
            };
            try (Watch watch = maps.withName("seen").watch(watcher)) {
                maps.resource(map("seen", Map.of())).create();
                maps.withName("seen").delete();
                check("watch", gone.await(60, TimeUnit.SECONDS) && seen.equals(List.of("ADDED", "DELETED")), seen);
            }
            try (var informer = maps.inform()) {
                check("an informer", informer.getIndexer().list().stream().anyMatch(found -> found.getMetadata().getName().equals("m")), "");
            }
            var jobs = client.genericKubernetesResources("trainer.kubeflow.org/v1alpha1", "TrainJob").inNamespace(namespace).list();
            check("custom objects", jobs.getItems().isEmpty(), jobs);

            Pod pod = new PodBuilder().withNewMetadata().withName("p").endMetadata().withNewSpec().withTerminationGracePeriodSeconds(1L)
                .addNewContainer().withName("main").withImage("python:3.12").withCommand("sh", "-c", "echo one; sleep 1000").endContainer()
                .endSpec().build();
            var pods = client.pods().inNamespace(namespace);
            pods.resource(pod).create();
            pods.withName("p").waitUntilReady(60, TimeUnit.SECONDS);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try (ExecWatch said = pods.withName("p").writingOutput(out).exec("sh", "-c", "echo said; exit 3")) {
                int code = said.exitCode().get(60, TimeUnit.SECONDS);
                check("a command", code == 3 && out.toString().equals("said\n"), code + out.toString());
            }
            check("a log", pods.withName("p").getLog().equals("one\n"), pods.withName("p").getLog());
            client.namespaces().withName(namespace).delete();
            check("delete", true, "");
        }
    }
}
