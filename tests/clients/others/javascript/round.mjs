// One round with the JavaScript client: create, list, watch, patch, apply, log, exec, delete; prints each step and ends with 0 when all hold.
import { strict as assert } from 'node:assert';
import { PassThrough } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const namespace = `js-${Date.now()}`;
const image = process.env.IMAGE ?? 'python:3.12';

async function step(name, work) {
  const limit = new Promise((_, fail) => setTimeout(() => fail(new Error(`${name}: not within 60 s`)), 60_000).unref());
  const found = await Promise.race([work(), limit]);
  console.log(`ok ${name}`);
  return found;
}

const map = (name, data) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels: { app: 'js' } }, data });

await step('create', async () => {
  await core.createNamespace({ body: { metadata: { name: namespace } } });
  const made = await core.createNamespacedConfigMap({ namespace, body: map('m', { x: '1' }) });
  assert.ok(made.metadata.uid);
});
await step('a conflict is told', async () => {
  await assert.rejects(core.createNamespacedConfigMap({ namespace, body: map('m', {}) }), (error) => error.code === 409);
});
await step('list', async () => {
  const { items } = await core.listNamespacedConfigMap({ namespace, labelSelector: 'app=js' });
  assert.deepEqual(items.map((item) => item.metadata.name), ['m']);
});
await step('patch', async () => {
  const merge = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch);
  const changed = await core.patchNamespacedConfigMap({ namespace, name: 'm', body: { data: { y: '2' } } }, merge);
  assert.deepEqual(changed.data, { x: '1', y: '2' });
  const json = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch);
  const body = [{ op: 'remove', path: '/data/x' }];
  assert.deepEqual((await core.patchNamespacedConfigMap({ namespace, name: 'm', body }, json)).data, { y: '2' });
});
await step('apply', async () => {
  const way = k8s.PatchStrategy.ServerSideApply;
  const applied = await objects.patch(map('applied', { a: '1' }), undefined, undefined, 'js', true, way);
  assert.equal(applied.metadata.managedFields[0].operation, 'Apply');
});
await step('watch', async () => {
  const seen = [];
  const watch = new k8s.Watch(config);
  await new Promise((done, fail) => {
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    watch.watch(path, { fieldSelector: 'metadata.name=seen' }, (type) => {
      seen.push(type);
      if (type === 'DELETED') done();
    }, (error) => error && error.name !== 'AbortError' && fail(error)).then(async (request) => {
      await core.createNamespacedConfigMap({ namespace, body: map('seen', {}) });
      await core.deleteNamespacedConfigMap({ namespace, name: 'seen' });
      return request;
    }).catch(fail);
  });
  assert.deepEqual(seen, ['ADDED', 'DELETED']);
});
await step('an informer', async () => {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const informer = k8s.makeInformer(config, path, () => core.listNamespacedConfigMap({ namespace }));
  const added = new Promise((done) => informer.on('add', (item) => item.metadata.name === 'm' && done()));
  await informer.start();
  await added;
  await informer.stop();
});
await step('custom objects', async () => {
  const { items } = await custom.listCustomObjectForAllNamespaces({ group: 'trainer.kubeflow.org', version: 'v1alpha1', plural: 'trainjobs' });
  assert.ok(Array.isArray(items));
});
await step('a pod, its log and a command', async () => {
  const container = { name: 'main', image, command: ['sh', '-c', 'echo one; sleep 1000'] };
  await core.createNamespacedPod({ namespace, body: { metadata: { name: 'p' }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } } });
  while ((await core.readNamespacedPod({ namespace, name: 'p' })).status.phase !== 'Running') await new Promise((done) => setTimeout(done, 100));
  const out = new PassThrough();
  let text = '';
  out.on('data', (chunk) => { text += chunk; });
  const status = await new Promise((done, fail) => {
    new k8s.Exec(config).exec(namespace, 'p', 'main', ['sh', '-c', 'echo said; exit 3'], out, null, null, false, done).catch(fail);
  });
  assert.equal(text, 'said\n');
  assert.equal(status.details.causes[0].message, '3');
  let logged = '';
  while (logged !== 'one\n') logged = await core.readNamespacedPodLog({ namespace, name: 'p' });
});
await step('delete', async () => {
  await core.deleteNamespace({ name: namespace });
});
process.exit(0);
