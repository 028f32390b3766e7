/** The HTTP API over the memory storage and the real task queue, without a server: requests in, responses out. */
import { createHash } from 'node:crypto';
import type { HttpApiDeps } from '../../../adapters/http/deps.ts';
import { httpApi } from '../../../adapters/http/api.ts';
import { promMetrics } from '../../../adapters/metrics-prom/prom-metrics.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { memoryLog, type MemoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { virtualClock, type VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import { memoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import type { AnswerTo, Command, CommandInbox, Settled } from '../../../core/application/hub/batch/commands.ts';
import { createHub } from '../../../core/application/hub/hub.ts';
import { HUB_LIMITS, type HubLimits } from '../../../core/config/limits.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import type { HttpHandler } from '../../../core/ports/http.ts';
import type { Role } from '../../../core/ports/agent-store.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Changes } from '../../../core/ports/task-store.ts';
import { A_MOMENT_MS, aToken } from '../../product/contracts/fixtures.ts';
import { askHandler } from '../../product/contracts/wire/web-http.ts';
import type { AgentId } from '../../../core/domain/ids.ts';

const outcomeOf = <C extends Command>(answer: Promise<AnswerTo<C>>): Promise<Settled<C>> =>
  answer.then((value) => ({ ok: true, answer: value }), (error: unknown) => ({ ok: false, error })); // prettier-ignore

export const ADMIN_TOKEN = 'admin-token-of-the-config-0123456789';
export const HOST = 'hub.test:4000';
/** The agent that the token of role `agent` belongs to. */
export const BENCH_AGENT = 'a1' as AgentId;

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed object; empty if the text is not a JSON object. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface Sending {
  readonly method?: string;
  /** A role's token, a token itself, or null for none; `admin` by default. */
  readonly token?: string | null;
  /** A value that is sent as JSON. */
  readonly json?: unknown;
  /** A body that is sent unchanged. */
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly from?: string;
}

export interface HubBench {
  readonly storage: Storage;
  readonly clock: VirtualClock;
  readonly log: MemoryLog;
  readonly tokens: Readonly<Record<Role, string>>;
  /** Commands that reached the queue, oldest first. */
  readonly commands: Command[];
  readonly revoked: string[];
  readonly enrolSecretsUsed: () => number;
  /** While set, answers or throws in place of the queue. */
  intercept: ((command: Command) => unknown) | null;
  healthy: boolean;
  readonly handle: HttpHandler;
  send(path: string, how?: Sending): Promise<Answered>;
  /** The response itself, for streams. */
  open(path: string, how?: Sending): Promise<Response>;
  /** Saves these changes in the storage and announces the commit. */
  commit(changes: Changes): Promise<void>;
  readonly listeners: () => number;
  close(): Promise<void>;
}

/** The hub shares a process with the tests, on a machine that may be busy: it does not shed reads because its loop lags. */
export const UNHURRIED = { loopDelayMs: 60_000 };

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export async function hubBench(
  over: { readonly limits?: Partial<HubLimits>; readonly deps?: Partial<HttpApiDeps> } = {},
): Promise<HubBench> {
  const clock = virtualClock({ wallMs: A_MOMENT_MS });
  const log = memoryLog();
  const storage = memoryStorage({ clock });
  await storage.open();
  const limits: HubLimits = { ...HUB_LIMITS, requestsPerSecond: 0, readMsPerSecond: 0, ...UNHURRIED, ...over.limits };
  const ids = seededIds({ seed: 'bench' });
  const digest = systemDigest();
  const metrics = promMetrics({ ofProcess: false });
  const hub = createHub(
    { storage, transport: memoryWire({ clock }).transport(), clock, ids, digest, log, metrics },
    {
      host: 'hub',
      port: 0,
      timing: HUB_TIMING,
      limits,
      agentMessages: true,
      trustedProxies: [],
      isAllowedOrigin: () => true,
      hubId: 'hub-1',
    },
  );
  const { queue, tokenUse } = hub;
  const listeners = new Set<() => void>();
  const committed = (): void => listeners.forEach((listener) => listener());
  hub.onCommit(committed);
  const commands: Command[] = [];
  const inbox: CommandInbox = {
    async do<C extends Command>(command: C): Promise<AnswerTo<C>> {
      commands.push(command);
      if (bench.intercept !== null) return (await bench.intercept(command)) as AnswerTo<C>;
      return queue.do(command);
    },
    doAll: (some) => Promise.all(some.map((command) => outcomeOf(inbox.do(command)))),
    post: (command, settled) => queue.post(command, settled),
    expect: () => queue.expect(),
    hasWaiters: () => queue.hasWaiters(),
  };
  const tokens = await tokensFor(storage);
  const revoked: string[] = [];
  let used = 0;
  const api = httpApi({
    inbox,
    tasks: storage.tasks,
    agents: storage.agents,
    events: storage.events,
    output: storage.output,
    audit: storage.audit,
    outputWriter: hub.output,
    isShared: false,
    tokenUse,
    ids,
    digest,
    clock: hub.clock,
    stopwatchMs: () => 0,
    log,
    isLoopbackOnly: false,
    certificate: null,
    limits,
    isAllowedOrigin: ({ host, origin }) => host === HOST && (origin === undefined || origin === `http://${HOST}`),
    pageOrigins: [],
    trustedProxies: ['10.0.0.1'],
    adminTokenHash: hashOf(ADMIN_TOKEN),
    sessionSecret: 'the session secret of the tests',
    dashboard: null,
    version: '0.1.0',
    storageName: 'memory',
    durable: false,
    transportName: 'none',
    healthy: async () => bench.healthy,
    deadlocks: () => 2,
    urls: () => ({ ws: `ws://${HOST}/ws`, api: `http://${HOST}` }),
    onCommit: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    endTokens: (records) => revoked.push(...records.map((record) => record.id)),
    quietUntilMs: () => hub.context.quietPeriod.untilMs,
    lastHeardAtMs: () => null,
    refusals: () => ({ frames: { invalid_json: 2 }, sockets: {} }),
    metrics,
    load: () => hub.load(),
    onEnrolSecretUsed: () => void (used += 1),
    ...over.deps,
  });

  const bench: HubBench = {
    storage,
    clock,
    log,
    tokens,
    commands,
    revoked,
    enrolSecretsUsed: () => used,
    intercept: null,
    healthy: true,
    handle: api.handle,
    open: (path, how = {}) => askHandler(api.handle, requestOf(path, how, tokens), how.from),
    async send(path, how) {
      const response = await bench.open(path, how);
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: parsed(text) };
    },
    async commit(changes) {
      await storage.tasks.transact(ids.random('batch'), (unit) => unit.save(changes));
      committed();
    },
    listeners: () => listeners.size,
    async close() {
      api.close();
      await queue.stop();
      await storage.close();
    },
  };
  return bench;
}

/** A token of each role in the store; the admin token is the one of the config. */
async function tokensFor(storage: Storage): Promise<Readonly<Record<Role, string>>> {
  const tokens = {
    agent: 'agent-token',
    submitter: 'submitter-token',
    viewer: 'viewer-token',
    operator: 'operator-token',
    admin: ADMIN_TOKEN,
  };
  for (const role of ['agent', 'submitter', 'viewer', 'operator'] as const) {
    const agentId = role === 'agent' ? BENCH_AGENT : null;
    await storage.agents.addToken(aToken({ id: `tok-${role}`, name: role, role, agentId, hash: hashOf(tokens[role]) }));
  }
  return tokens;
}

function requestOf(path: string, how: Sending, tokens: Readonly<Record<string, string>>): Request {
  const named = how.token === undefined ? 'admin' : how.token;
  const token = named === null ? null : (tokens[named] ?? named);
  const body = how.json === undefined ? how.body : JSON.stringify(how.json);
  return new Request(`http://${HOST}${path}`, {
    method: how.method ?? (body === undefined ? 'GET' : 'POST'),
    ...(body === undefined ? {} : { body, duplex: 'half' }),
    headers: {
      host: HOST,
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(how.json === undefined ? {} : { 'content-type': 'application/json' }),
      ...how.headers,
    },
  } as RequestInit);
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return {};
    throw thrown;
  }
}
