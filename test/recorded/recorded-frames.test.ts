/**
 * Current hubs and sidecars understand those of released versions: what released versions sent is replayed to current
 * ones, frame by frame. A failure here means that a fleet upgraded one machine at a time would break.
 */
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import t from 'tap';
import { fileOf, misfit, readConversation, type Line } from './recorded-conversation.ts';
import { replayToHub, replayToSidecar } from './replay.ts';

const ADVICE =
  'A released version says and expects this, and cannot be changed. Keep accepting and sending it; if it has to change, raise ' +
  'PROTOCOL_VERSION and speak both. Recordings of released versions are never regenerated.';

const names = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.ndjson'))
  .map((name) => basename(name, '.ndjson'));

t.test('there is a recording of each version of the protocol', async (t) => {
  for (const version of ['v1-', 'v2-'])
    t.ok(
      names.some((name) => name.startsWith(version)),
      `test/recorded/${version}*.ndjson`,
    );
});

t.test('a recording covers the whole life of tasks', async (t) => {
  const typesOf = (name: string): ReadonlySet<string> =>
    new Set(readConversation(name).flatMap((line) => ('from' in line ? [line.frame.type] : [])));
  const inBoth = ['identify', 'identified', 'task_assign', 'task_accepted', 'task_ack', 'task_progress', 'task_complete', 'task_failed'];
  const inV2 = [
    'hello',
    'challenge',
    'task_cancelled',
    'task_cancel_ack',
    'task_output',
    'drain',
    'draining',
    'drained',
    'resume',
    'resumed',
  ];
  const inV1 = ['task_cancelled', 'task_recovering', 'task_continue', 'task_rejected', 'status'];
  for (const name of names) {
    const types = typesOf(name);
    const missing = [...inBoth, ...(name.startsWith('v2-') ? inV2 : inV1)].filter((type) => !types.has(type));
    t.strictSame(missing, [], name);
  }
});

for (const name of names) {
  t.test(`${name}: a released sidecar with the current hub`, async (t) => {
    t.strictSame(await replayToHub(readConversation(name)), [], ADVICE);
  });
  // This project's sidecars never spoke version 1.
  if (name.startsWith('v1-')) continue;
  t.test(`${name}: a released hub with the current sidecar`, async (t) => {
    t.strictSame(await replayToSidecar(readConversation(name)), [], ADVICE);
  });
}

/** The recording with one change to each frame of this type. */
const changed = (name: string, type: string, change: (frame: Record<string, unknown>) => void): readonly Line[] =>
  readConversation(name).map((line) => {
    if (!('from' in line) || line.frame.type !== type) return line;
    const frame = { ...line.frame };
    change(frame);
    return { ...line, frame };
  });

t.test('a frame that was understood at the release but is not any more is detected', async (t) => {
  const [v2 = ''] = names.filter((name) => name.startsWith('v2-'));
  const hubs: readonly (readonly [string, (frame: Record<string, unknown>) => void, RegExp])[] = [
    ['task_accepted', (frame) => (frame['type'] = 'task_taken'), /task_ack of the hub: it does not arrive/],
    ['task_accepted', (frame) => delete frame['generation'], /task_ack of the hub: it does not arrive/],
    ['identify', (frame) => (frame['proof'] = '00'), /identified of the hub: it does not arrive/],
    ['challenge', (frame) => (frame['proof'] = '00'), /challenge of the hub: proof is "[0-9a-f]{64}", recorded was "00"/],
    ['task_ack', (frame) => (frame['was'] = 'sent'), /task_ack of the hub: was is missing/],
  ];
  for (const [type, change, found] of hubs)
    t.match((await replayToHub(changed(v2, type, change))).join('\n'), found, `${type} ${change.toString()}`);
  const sidecars: readonly (readonly [string, (frame: Record<string, unknown>) => void, RegExp])[] = [
    ['challenge', (frame) => (frame['proof'] = '00'.repeat(32)), /identify of the sidecar: it does not arrive/],
    ['task_assign', (frame) => delete frame['generation'], /task_accepted of the sidecar: it does not arrive/],
    ['task_cancel_ack', (frame) => (frame['outcome'] = 'stopped'), /outcome is "killed", recorded was "stopped"/],
  ];
  for (const [type, change, found] of sidecars)
    t.match((await replayToSidecar(changed(v2, type, change))).join('\n'), found, `${type} ${change.toString()}`);
});

t.test('fields may be added, but none removed or changed in meaning', async (t) => {
  const recorded = { type: 'x', n: 1, list: [{ a: 'b' }], lease_ms: 5, policy: { one: 1 }, none: null };
  t.equal(misfit(recorded, { ...recorded, more: 1, list: [{ a: 'b', c: 2 }] }), null);
  t.equal(misfit(recorded, { ...recorded, lease_ms: 7, policy: { one: 2, two: 2 } }), null, 'a setting may differ');
  const { n: _n, ...without } = recorded;
  t.equal(misfit(recorded, without), 'n is missing');
  t.equal(misfit(recorded, { ...recorded, n: '1' }), 'n is "1", recorded was 1');
  t.equal(misfit(recorded, { ...recorded, lease_ms: '7' }), 'lease_ms is "7", recorded was 5');
  t.equal(misfit(recorded, { ...recorded, policy: {} }), 'policy.one is missing');
  t.equal(misfit(recorded, { ...recorded, list: [{ a: 'c' }] }), 'list[0].a is "c", recorded was "b"');
  t.equal(misfit(recorded, { ...recorded, list: [] }), 'list is [], recorded was [{"a":"b"}]');
  t.equal(fileOf('v2-0.1.0').endsWith('test/recorded/v2-0.1.0.ndjson'), true);
});
