/** The options of a worker, and their checks: the same as those of a sidecar, in terms of these options. */
import type { AcceptConfig } from '../../core/config/accept.ts';
import type { ConfigProblem, HubTls, ResolvedSidecarConfig } from '../../core/config/config.ts';
import { ENROLLS_WITHOUT } from '../../core/config/config-schema.ts';
import { resolveConfig } from '../../core/config/resolve.ts';
import { describe } from '../../core/domain/describe-value.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import type { Fence, Handler } from './handler.ts';

/** What happens to a worker besides its tasks. */
export type WorkerEvent =
  /** A hub has identified it and may assign tasks. */
  | { readonly type: 'connected' }
  /** The connection is gone. Handlers continue; the worker reconnects by itself. */
  | { readonly type: 'disconnected' }
  /** The hub has answered the report of a handler's result or failure and stored it; it will not be sent again. */
  | { readonly type: 'acknowledged'; readonly fence: Fence }
  /**
   * The hub has refused the report of a handler's result or failure, after a cancel for example; it will not be sent again. `reason`: the code of
   * the refusal. `result`: what the handler returned; absent for a failure. Without `journalDir`, nothing else keeps it.
   */
  | { readonly type: 'refused'; readonly fence: Fence; readonly reason: string; readonly result?: unknown }
  /** A handler did not settle within the grace period of its stop. Its slot stays taken until it does. */
  | { readonly type: 'stop_overdue'; readonly fence: Fence; readonly waitedMs: number };

/** Each method is optional: a level without one is not logged. */
export interface WorkerLog {
  debug?(message: string, fields: LogFields): void;
  info?(message: string, fields: LogFields): void;
  warn?(message: string, fields: LogFields): void;
  error?(message: string, fields: LogFields): void;
}

/** What a worker needs to run. Times are milliseconds. */
export interface WorkerOptions {
  /** `http://127.0.0.1:4000`; several for a cluster, tried in turn. `ws://` and a path `/ws` are accepted too. */
  readonly hub: string | readonly string[];
  /** A token for this agent, from `agentcom tokens create --agent ID`. */
  readonly token: string;
  /** One running worker per ID. */
  readonly agentId: string;
  readonly handle: Handler;
  /** Words that tasks may require of their agent. */
  readonly capabilities?: readonly string[] | undefined;
  /** How many handlers run at the same time. Default 1. */
  readonly slots?: number | undefined;
  /** Shown next to the ID. Default: the ID. */
  readonly name?: string | undefined;
  /**
   * A directory for the journal, for this worker alone. Without it, the tasks that the worker holds are lost when its process dies, and the hub
   * requeues them.
   */
  readonly journalDir?: string | undefined;
  /**
   * Makes a key for this machine at the first start, in `journalDir`, which is then required, and binds the agent to it: someone who steals only the
   * token cannot connect as this agent. Default false.
   */
  readonly deviceKey?: boolean | undefined;
  /** How long a handler may run without reporting progress, milliseconds. Default: as long as the task may run. */
  readonly idleMs?: number | undefined;
  /** How long `stop()` waits for running handlers before it aborts them, milliseconds. Default 10,000. */
  readonly drainMs?: number | undefined;
  /** Allows plain `http://` beyond loopback, on a network that you trust. Default false. */
  readonly insecure?: boolean | undefined;
  /** How the hub at an `https://` address is recognized. Default: by a certificate from a public CA for its name. */
  readonly tls?: HubTls | undefined;
  /** Which tasks it accepts; files are relative to the working directory. Default: all. */
  readonly accept?: AcceptConfig | undefined;
  readonly onEvent?: ((event: WorkerEvent) => void) | undefined;
  /** Default: warnings and errors on standard error. */
  readonly log?: WorkerLog | undefined;
}

/** The options with all defaults filled in. */
export interface CheckedOptions {
  readonly config: ResolvedSidecarConfig & { readonly token: string };
  readonly handle: Handler;
  readonly journalDir: string | undefined;
  readonly drainMs: number;
}

const DRAIN_MS = 10_000;
const OPTIONS: Readonly<Record<keyof WorkerOptions, true>> = {
  hub: true,
  token: true,
  agentId: true,
  handle: true,
  capabilities: true,
  slots: true,
  name: true,
  journalDir: true,
  deviceKey: true,
  idleMs: true,
  drainMs: true,
  insecure: true,
  tls: true,
  accept: true,
  onEvent: true,
  log: true,
};
/** Throws `AC_CONFIG_INVALID` with every mistake. Opens nothing, prints no secret. */
export function checkedOptions(options: WorkerOptions): CheckedOptions {
  if (typeof options !== 'object' || (options as WorkerOptions | null) === null)
    throw invalid([{ path: 'options', message: `expected an object, found ${describe(options)}` }]);
  const { hub, token, agentId, capabilities, slots, name, insecure, tls, accept, deviceKey, idleMs } = options;
  const hubs = (typeof hub === 'string' ? [hub] : hub) as readonly unknown[];
  const sidecar = {
    hubs: Array.isArray(hubs) ? hubs.map(socketAddress) : hubs,
    ...{ token, agentId, capabilities, slots, name, insecure, tls, accept, deviceKey },
    timing: idleMs === undefined ? {} : { idleMs },
  };
  const resolved = resolveConfig({ sidecar }, { baseDir: '', absolute: (path) => path });
  const problems = [...(resolved.kind === 'invalid' ? resolved.problems.map(inWorkerTerms) : []), ...ownProblems(options)];
  if (resolved.kind === 'invalid' || problems.length > 0) throw invalid(problems);
  const config = resolved.config.sidecar as ResolvedSidecarConfig;
  return {
    config: { ...config, token, timing: { ...config.timing, idleMs: idleMs ?? Infinity } },
    handle: options.handle,
    journalDir: options.journalDir,
    drainMs: options.drainMs ?? DRAIN_MS,
  };
}

function ownProblems(options: WorkerOptions): ConfigProblem[] {
  const { token, handle, journalDir, deviceKey, drainMs, onEvent, log } = options;
  const problems: ConfigProblem[] = [];
  const want = (isMet: boolean, path: string, wanted: string, found: unknown): void => {
    if (!isMet) problems.push({ path, message: `expected ${wanted}, found ${describe(found)}` });
  };
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(OPTIONS, key)) continue;
    problems.push({ path: key, message: `there is no such option; expected one of ${Object.keys(OPTIONS).join(', ')}` });
  }
  if (token === undefined)
    problems.push({ path: 'token', message: 'is missing; expected the token of this agent, from `agentcom tokens create --agent ID`' });
  if (deviceKey === true && journalDir === undefined)
    problems.push({ path: 'deviceKey', message: 'is set without journalDir; expected journalDir, where the key is kept' });
  want(typeof handle === 'function', 'handle', 'a function (task, context) => result', handle);
  want(journalDir === undefined || (typeof journalDir === 'string' && journalDir !== ''), 'journalDir', 'a path', journalDir);
  want(drainMs === undefined || (Number.isFinite(drainMs) && drainMs >= 0), 'drainMs', 'a number of milliseconds, 0 or more', drainMs);
  want(onEvent === undefined || typeof onEvent === 'function', 'onEvent', 'a function (event) => void', onEvent);
  want(log === undefined || (typeof log === 'object' && log !== null), 'log', 'an object with any of debug, info, warn, error', log);
  return problems;
}

/** `http://host:port` or `ws://host:port` as the address of the hub's WebSocket; anything else unchanged. */
function socketAddress(address: unknown): unknown {
  const [, secure, rest] = (typeof address === 'string' ? /^(?:http|ws)(s?):\/\/([^?#]*?)(?:\/ws)?\/*$/i.exec(address) : null) ?? [];
  return rest === undefined ? address : `ws${secure}://${rest}/ws`;
}

/** A problem of the sidecar's config, with the names of these options. */
const inWorkerTerms = ({ path, message, ...rest }: ConfigProblem): ConfigProblem => ({
  ...rest,
  path: path.replace(/^sidecar\.(timing\.)?/, '').replace(/^hubs/, 'hub'),
  message: message
    .replace(ENROLLS_WITHOUT, ', from `agentcom tokens create --agent ID`')
    .replaceAll('sidecar.', '')
    .replaceAll('wss://', 'https://')
    .replaceAll('ws://', 'http://')
    .replaceAll('/ws', ''),
});

function invalid(problems: readonly ConfigProblem[]): AgentcomError {
  const count = problems.length === 1 ? 'a mistake' : `${problems.length} mistakes`;
  const lines = problems.map(({ path, message }) => `  ${path}: ${message}${/[.?]$/.test(message) ? '' : '.'}`);
  return new AgentcomError('AC_CONFIG_INVALID', [`The options of worker() have ${count}:`, ...lines].join('\n'), { details: { problems } });
}

/** The log that core writes to. It never throws: if a method of `log` throws, that goes to standard error. */
export function logOf(log: WorkerLog = STANDARD_ERROR, outer: LogFields = {}): Log {
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      if (log[level] === undefined) return;
      try {
        // With spreads, Node 20 takes twenty times as long.
        log[level]?.(message, Object.assign({}, outer, fields));
      } catch (thrown) {
        console.error(`agentcom/worker: the log threw at "${message}": ${messageOf(thrown)}`);
      }
    };
  return {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    with: (fields) => logOf(log, { ...outer, ...fields }),
  };
}

const STANDARD_ERROR: WorkerLog = {
  warn: (message, fields) => console.warn(`agentcom/worker: ${message}`, fields),
  error: (message, fields) => console.error(`agentcom/worker: ${message}`, fields),
};
