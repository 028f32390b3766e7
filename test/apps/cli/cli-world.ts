/** A world for commands: their output is recorded, and a real HTTP server is their hub. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import type { Test } from 'tap';
import { runCli } from '../../../apps/cli/main.ts';
import { startTransformThread, type TransformThread } from '../../../apps/config/transform-thread.ts';
import { ScriptedApp } from './scripted-app.ts';

/** Compiles the configs of all commands, once one may read a config: loading the compiler for each takes longer than most tests. */
let compiling: TransformThread | undefined;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** Complete, or in chunks. */
  readonly stdin?: string | readonly Uint8Array[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly tty?: boolean | undefined;
  /** Whether it is a terminal. */
  readonly columns?: number | undefined;
  readonly interrupt?: AbortSignal | undefined;
  /** Called with each piece of standard output. */
  readonly onOut?: ((text: string) => void) | undefined;
}

/** Runs one command to its end. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  if (options.cwd !== undefined) compiling ??= startTransformThread();
  let out = '';
  let err = '';
  const { stdin = [] } = options;
  const tty = options.tty === true ? { isTTY: true, columns: options.columns ?? 120 } : {};
  const code = await runCli(argv, {
    stdout: {
      write: (text) => {
        out += text;
        options.onOut?.(text);
      },
      ...tty,
    },
    stderr: { write: (text) => (err += text), ...tty },
    stdin: Object.assign(Readable.from(typeof stdin === 'string' ? [stdin] : stdin), { isTTY: options.tty === true }),
    env: options.env ?? {},
    cwd: options.cwd ?? '/nonexistent',
    interrupt: () => options.interrupt ?? new AbortController().signal,
  });
  return { code, out, err };
}

export interface Recorded {
  readonly request: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface TestHub {
  readonly url: string;
  readonly requests: readonly Recorded[];
  /** Runs a command against this hub. */
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>;
}

/** A server with these routes that records its requests. */
export async function testHub(t: Test, routes: (app: ScriptedApp) => unknown): Promise<TestHub> {
  const requests: Recorded[] = [];
  const app = new ScriptedApp(({ method, target, headers, text }) => {
    requests.push({ request: `${method} ${target}`, headers, body: text });
  });
  routes(app);
  const server = await app.listen();
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    requests,
    run: (argv, options = {}) => run(argv, { ...options, env: { AGENTCOM_API_URL: url, AGENTCOM_ADMIN_TOKEN: 'tok', ...options.env } }),
  };
}

/** A port on which nothing listens: acquired and released. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A task as the hub returns it. */
export const taskJson = (more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  id: 'task-00000000000000aa',
  description: 'count the files',
  metadata: {},
  priority: 'normal',
  status: 'queued',
  assigned_to: null,
  assigned_at: null,
  accepted_at: null,
  generation: 0,
  retry_count: 0,
  max_retries: 3,
  needed_capabilities: [],
  assign_to: null,
  last_error: null,
  complete_by: null,
  run_at: null,
  ttl_ms: null,
  run_max_ms: null,
  eligible_at: 1_700_000_000_000,
  result: null,
  tokens_used: null,
  cost_usd: null,
  submitted_by: 'admin',
  created_at: 1_700_000_000_000,
  updated_at: 1_700_000_042_000,
  repo: null,
  branch: null,
  file_hints: [],
  success_criteria: [],
  verification_steps: [],
  depends_on: [],
  ...more,
});

/** One event of the stream, as the hub writes it. */
export const sse = (id: number, event: string, more: Readonly<Record<string, unknown>> = {}): string => {
  const data = { id, task_id: 'task-00000000000000aa', event, timestamp: 1_700_000_000_000, ...more };
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
};
