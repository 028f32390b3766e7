/** Whatever is in a frame, a body, a file or a config: its reader returns, or fails with an AgentcomError, never otherwise. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import type { EndedMark } from '../../adapters/journal-file/ended-log.ts';
import { pack, unpack } from '../../adapters/journal-file/envelope.ts';
import { resultReader } from '../../adapters/results-files/result-reader.ts';
import { loadConfigFile } from '../../apps/config/load.ts';
import { EMPTY_JOURNAL, readJournalState } from '../../core/application/sidecar/state/journal-state.ts';
import { reportFromFrame, type ReportFrame } from '../../core/application/hub/sessions/report-from-frame.ts';
import { configSchema } from '../../core/config/config-schema.ts';
import { resolveConfig } from '../../core/config/resolve.ts';
import { AGENT_ID_PATTERN, isAgentId, isTaskId, TASK_ID_PATTERN } from '../../core/domain/ids.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { readProgress, readResult } from '../../core/protocol/agent-files.ts';
import { bodyReader } from '../../core/protocol/body-reader.ts';
import { frameParser } from '../../core/protocol/frame-parser.ts';
import { httpBodySchemas } from '../../core/protocol/http-bodies.ts';
import { hubSchemas, type HubFrame } from '../../core/protocol/hub-frames.ts';
import { v1Schemas, v2Schemas, type SidecarFrame } from '../../core/protocol/sidecar-frames.ts';
import { brokenFrames, brokenIdentifies, wellMadeFrames } from './hostile/frame-texts.ts';
import { awkward, fitting, oneWrong } from './hostile/from-schema.ts';

const SEED = 20_260_102;
/** Of each kind of text; more on request. */
const RUNS = Number(process.env['AGENTCOM_READER_RUNS'] ?? 800);

/** Fails unless it returns, or throws an AgentcomError. */
function answersOrFails<T>(read: () => T, what: string): T | AgentcomError {
  try {
    return read();
  } catch (thrown) {
    if (AgentcomError.is(thrown)) return thrown;
    throw new Error(`${what.slice(0, 300)} made it throw ${String(thrown)}`, { cause: thrown });
  }
}

t.test('R22: the decoder answers any frame and never throws', async (t) => {
  const parsers = [frameParser<SidecarFrame>(v1Schemas), frameParser<SidecarFrame>(v2Schemas), frameParser<HubFrame>(hubSchemas)];
  const texts = [...wellMadeFrames(RUNS, SEED), ...brokenFrames(2 * RUNS, SEED), ...brokenIdentifies(RUNS / 2, SEED)];
  const kinds = new Map<string, number>();
  for (const text of texts) {
    for (const parse of parsers) {
      const answer = parse(text);
      kinds.set(answer.kind, (kinds.get(answer.kind) ?? 0) + 1);
      if (answer.kind === 'frame' && /^(task_(acc|rej|rel|pro|com|fai)|wake)/.test(answer.frame.type)) {
        if ('task_id' in answer.frame && answer.frame.type !== 'task_ack')
          reportFromFrame(answer.frame as ReportFrame, parse === parsers[0] ? 1 : 2);
      }
    }
  }
  for (const kind of ['frame', 'invalid_json', 'unknown_message_type', 'validation_failed'])
    t.ok((kinds.get(kind) ?? 0) > RUNS / 4, `${kind}: ${kinds.get(kind) ?? 0}`);
  t.equal(({} as Readonly<Record<string, unknown>>)['polluted'], undefined);
});

t.test('R22: the reader of a body returns only fields of its schema, whatever the body contains', async (t) => {
  let [taken, refused] = [0, 0];
  for (const [name, schema] of Object.entries(httpBodySchemas)) {
    const read = bodyReader(schema);
    for (const value of fc.sample(fc.oneof(fitting(schema), oneWrong(schema), awkward), { numRuns: RUNS / 3, seed: SEED })) {
      const answer = read(value);
      if (answer.kind === 'invalid') refused += 1;
      else {
        taken += 1;
        const names = Object.keys(schema.properties);
        if (Object.keys(answer.value).some((key) => !names.includes(key))) t.fail(`${name} took ${JSON.stringify(answer.value)}`);
      }
    }
  }
  t.ok(taken > RUNS / 4 && refused > RUNS / 4, `${taken} taken, ${refused} refused`);
});

t.test('R22: an invalid id never becomes a path, a frame or a body', async (t) => {
  const parseFrame = frameParser<SidecarFrame>(v2Schemas);
  const submit = bodyReader(httpBodySchemas.submit);
  const near = fc.oneof(
    fc
      .stringMatching(new RegExp(TASK_ID_PATTERN))
      .chain((id) => fc.constantFrom(id, `${id}/..`, `${id}\n`, ` ${id}`, `${id}g`, id.toUpperCase())),
    fc.stringMatching(new RegExp(AGENT_ID_PATTERN)).chain((id) => fc.constantFrom(id, `../${id}`, `${id}\n`, `-${id}`, `${id}\u0000`)),
    awkward,
  );
  let passed = 0;
  for (const id of fc.sample(near, { numRuns: RUNS, seed: SEED })) {
    const isOne = isTaskId(id);
    if (isOne) passed += 1;
    const frame = parseFrame(JSON.stringify({ type: 'task_accepted', task_id: id, generation: 1 }));
    if ((frame.kind === 'frame') !== isOne) t.fail(`as a frame: ${JSON.stringify(id)}`);
    const depends = submit({ description: 'x', depends_on: [id] });
    if ((depends.kind === 'read') !== isOne) t.fail(`as a body: ${JSON.stringify(id)}`);
    if (id !== null && (submit({ description: 'x', assign_to: id }).kind === 'read') !== isAgentId(id))
      t.fail(`agent: ${JSON.stringify(id)}`);
    if (isOne && /[^0-9a-z-]/.test(id)) t.fail(`a path could be made of ${id}`);
  }
  t.ok(passed > RUNS / 20, `${passed} were valid ids`);
});

t.test('R22: any journal is read, or reported as corrupt or newer', async (t) => {
  const kinds = new Map<string, number>();
  const note = (kind: string): void => void kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  /** Forged by an attacker who knows how digests are computed. */
  const forged = (state: string): Buffer => {
    const sha256 = createHash('sha256').update(state).digest('hex');
    return Buffer.from(`{"version":1,"length":${Buffer.byteLength(state)},"sha256":"${sha256}","state":${state}}\n`);
  };
  const good = pack(JSON.stringify(EMPTY_JOURNAL), null);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((raw) => Buffer.from(raw)),
    fc.nat(good.length).map((end) => good.subarray(0, end)),
    fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => Buffer.from(good.map((old, n) => (n === at ? byte : old)))),
    awkward.map((value) => pack(JSON.stringify({ ...EMPTY_JOURNAL, slots: value }), null)),
    fc
      .tuple(fc.constantFrom('slots', 'outbox', 'ended', 'version'), awkward)
      .map(([name, value]) => pack(JSON.stringify({ ...EMPTY_JOURNAL, [name]: Array.isArray(value) ? value : [value] }), null)),
    fc.oneof(fc.json(), fc.string(), fc.constantFrom('{', '['.repeat(50_000), '\ud800', '{"version":1e999}')).map(forged),
    awkward.map((value) => pack(JSON.stringify(EMPTY_JOURNAL), value as EndedMark)),
    fc.constant(good),
  );
  for (const file of fc.sample(bytes, { numRuns: RUNS, seed: SEED })) {
    const unpacked = answersOrFails(() => unpack(file), file.toString('utf8'));
    if (AgentcomError.is(unpacked) || unpacked.kind !== 'good') {
      note('bad');
      continue;
    }
    const state = answersOrFails(() => readJournalState(unpacked.state), JSON.stringify(unpacked.state));
    note(AgentcomError.is(state) ? state.code : 'read');
  }
  for (const kind of ['bad', 'AC_JOURNAL_CORRUPT', 'read']) t.ok((kinds.get(kind) ?? 0) > 20, `${kind}: ${kinds.get(kind) ?? 0}`);
});

t.test('R22: any result or progress file of an agent is read, awaited, or reported as invalid', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-readers-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const clock = virtualClock();
  const texts = fc.oneof(
    awkward.map((value) => JSON.stringify(value)),
    fc
      .tuple(fc.constantFrom('success', 'failed', 'done'), awkward)
      .map(([status, output]) => JSON.stringify({ status, output, reason: output })),
    fc.string(),
    fc.json(),
    fc.constantFrom(
      '{"status":',
      '\ufeff{"status":"success"}',
      '['.repeat(100_000),
      '{"a":'.repeat(50_000),
      '{"status":"success","__proto__":1}',
    ),
  );
  let [read, none] = [0, 0];
  for (const text of fc.sample(texts, { numRuns: RUNS, seed: SEED })) {
    if (readResult(text).kind === 'object') read += 1;
    else none += 1;
    readProgress(text);
  }
  t.ok(read > RUNS / 10 && none > RUNS / 10, `${read} read, ${none} not`);
  const file = join(folder, 'result.json');
  for (const raw of fc.sample(fc.oneof(fc.uint8Array({ maxLength: 100 }), texts), { numRuns: 100, seed: SEED })) {
    await writeFile(file, raw);
    const found = await resultReader(clock, 0).read(file, clock.monotonicMs());
    if (found.kind !== 'object' && found.kind !== 'invalid') t.fail(`${found.kind} for ${String(raw).slice(0, 100)}`);
  }
  await rm(file);
  await mkdir(file);
  t.match(await resultReader(clock, 0).read(file, clock.monotonicMs()), { kind: 'invalid', message: /is not a regular file/ });
});

t.test('R22: any config is read or refused with every mistake, and nothing throws', async (t) => {
  const place = { baseDir: '/etc/agentcom', absolute: (path: string) => path };
  const parts = (configSchema as unknown as { readonly properties: Record<string, typeof configSchema> }).properties;
  const hub = oneWrong(parts['hub'] as typeof configSchema);
  const sidecar = oneWrong(parts['sidecar'] as typeof configSchema);
  const configs = fc.oneof(awkward, fc.record({ hub }), fc.record({ sidecar }), fc.record({ hub: awkward, sidecar: awkward }));
  for (const config of fc.sample(configs, { numRuns: RUNS / 2, seed: SEED })) {
    const answer = answersOrFails(() => resolveConfig(config, place), JSON.stringify(config));
    if (!AgentcomError.is(answer) && answer.kind === 'invalid' && answer.problems.length === 0) t.fail('refused without a reason');
  }
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-configs-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const sources = ['', 'export default', 'export default null', 'export default () => { throw 1; }', 'throw null', 'throw new Error("x")', '\u0000', '{', 'export default { hub: { get storage() { throw new TypeError("no"); } } }', 'export default new Proxy({}, { get() { throw 1; } })', 'import "./not-there.mjs"; export default {}', 'export default Promise.reject(new Error("later"))', 'export default { sidecar: [] }', '#!/bin/sh\nexit 1']; // prettier-ignore
  for (const [n, source] of sources.entries()) {
    const configFile = join(folder, `config-${n}.mjs`);
    await writeFile(configFile, source);
    const outcome = await loadConfigFile({ configFile }).then(
      () => 'loaded',
      (thrown: unknown) => thrown,
    );
    t.ok(AgentcomError.is(outcome), `${JSON.stringify(source)}: ${String(outcome)}`);
  }
});
