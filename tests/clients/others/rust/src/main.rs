//! One round with kube-rs: create, list, watch, patch, apply, log, exec, delete; ends with 0 when all hold.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{Api, AttachParams, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{wait, watcher, WatchStreamExt};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::io::AsyncReadExt;

type Failure = Box<dyn std::error::Error>;

fn map(name: &str, data: serde_json::Value) -> Result<ConfigMap, serde_json::Error> {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": "rust"}}, "data": data}))
}

fn ok(name: &str, holds: bool) {
    assert!(holds, "{name}");
    println!("ok {name}");
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let client = Client::try_default().await?;
    let namespace = format!("rust-{}", std::process::id());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": namespace}}))?).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);

    ok("create", maps.create(&PostParams::default(), &map("m", json!({"x": "1"}))?).await?.uid().is_some());
    let again = maps.create(&PostParams::default(), &map("m", json!({}))?).await;
    ok("a conflict is told", matches!(again, Err(kube::Error::Api(status)) if status.code == 409));
    ok("list", maps.list(&ListParams::default().labels("app=rust")).await?.items.len() == 1);
    let merged = maps.patch("m", &PatchParams::default(), &Patch::Merge(json!({"data": {"y": "2"}}))).await?;
    ok("merge patch", merged.data.unwrap_or_default().len() == 2);
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}});
    let applied = maps.patch("applied", &PatchParams::apply("rust").force(), &Patch::Apply(applied)).await?;
    ok("apply", applied.managed_fields()[0].operation.as_deref() == Some("Apply"));

    let mut events = maps.watch(&WatchParams::default().fields("metadata.name=seen"), "0").await?.boxed();
    maps.create(&PostParams::default(), &map("seen", json!({}))?).await?;
    maps.delete("seen", &DeleteParams::default()).await?;
    let mut seen = vec![];
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(_) => seen.push("added"),
            WatchEvent::Deleted(_) => {
                seen.push("deleted");
                break;
            }
            _ => {}
        }
    }
    ok("watch", seen == ["added", "deleted"]);
    for (name, config) in [("a watcher", watcher::Config::default()), ("a streaming list", watcher::Config::default().streaming_lists())] {
        let mut found = watcher(maps.clone(), config).applied_objects().boxed();
        ok(name, found.try_next().await?.is_some());
    }
    let kind = kube::discovery::pinned_kind(&client, &kube::core::GroupVersionKind::gvk("trainer.kubeflow.org", "v1alpha1", "TrainJob")).await?;
    let jobs: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind.0);
    ok("custom objects", jobs.list(&ListParams::default()).await?.items.is_empty());

    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let container = json!({"name": "main", "image": "python:3.12", "command": ["sh", "-c", "echo one; sleep 1000"]});
    let pod = json!({"metadata": {"name": "p"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    wait::await_condition(pods.clone(), "p", wait::conditions::is_pod_running()).await?;
    let mut said = pods.exec("p", ["sh", "-c", "echo said; exit 3"], &AttachParams::default().stderr(false)).await?;
    let mut text = String::new();
    said.stdout().ok_or("no output")?.read_to_string(&mut text).await?;
    let status = said.take_status().ok_or("no status")?.await.ok_or("no status came")?;
    ok("a command", text == "said\n" && status.reason.as_deref() == Some("NonZeroExitCode"));
    while pods.logs("p", &LogParams::default()).await? != "one\n" {}
    ok("a log", true);
    namespaces.delete(&namespace, &DeleteParams::default()).await?;
    ok("delete", true);
    Ok(())
}
