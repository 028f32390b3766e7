/** A healthy machine with a hub and a sidecar, to be given one fault each; and programs that stand where a hub should. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { EMPTY_JOURNAL } from '../../../core/application/sidecar/state/journal-state.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { sqliteStorage } from '../../adapters/storage-places/sqlite-storage-place.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { run, type Ran } from '../cli/cli-world.ts';
import { runningHub, type RunningHub } from '../running-hub.ts';
import { UNHURRIED } from '../../adapters/http/hub-bench.ts';

/** The part of a tap test that this needs. */
export interface TestEnd {
  teardown(fn: () => unknown): void;
}

export interface Reported {
  readonly check: string;
  readonly severity: 'error' | 'notice';
  readonly agent_id: string | null;
  readonly found: string;
  readonly hint: string;
}

export interface Machine {
  readonly folder: string;
  readonly config: string;
  /** Of its stopped hub. */
  readonly database: string;
  readonly hubDir: string;
  readonly sidecarDir: string;
  writeConfig(parts: ConfigParts): Promise<void>;
  doctor(env?: Readonly<Record<string, string>>, ...options: readonly string[]): Promise<Ran>;
}

/** As source text: what replaces or follows the options of a healthy config. */
export interface ConfigParts {
  readonly hub?: string | null;
  readonly sidecar?: string | null;
  readonly imports?: string;
}

export interface FaultWorld {
  /** A running hub, in this process. */
  readonly hub: RunningHub;
  readonly hubPort: number;
  /** A valid token of agent a1. */
  readonly token: string;
  machine(t: TestEnd): Promise<Machine>;
  /** An enrollment secret that was already used. */
  usedSecret(): Promise<string>;
}

export const portOf = (server: Server): number => (server.address() as AddressInfo).port;

export async function faultWorld(t: TestEnd): Promise<FaultWorld> {
  const hub = await runningHub({ limits: UNHURRIED });
  let enrolled = 0;
  const template = await mkdtemp(join(tmpdir(), 'agentcom-healthy-'));
  t.teardown(async () => {
    await hub.stop();
    await rm(template, { recursive: true });
  });
  await mkdir(join(template, 'hub'), { mode: 0o700 });
  const storage = sqliteStorage(join(template, 'hub', 'agentcom.db'));
  await storage.open();
  await storage.close();
  const journal = fileJournal({ dataDir: join(template, 'a1'), agentId: 'a1', clock: virtualClock(), log: silentLog });
  await journal.open();
  for (let saves = 0; saves < 2; saves += 1) await journal.save(EMPTY_JOURNAL);
  await journal.close();
  return {
    hub,
    hubPort: Number(new URL(hub.url).port),
    token: await hub.token('agent', 'a1'),
    machine: (each) => machineFrom(each, template),
    async usedSecret() {
      const { secret } = await hub.api.enrolment.createSecret();
      await hub.api.enrolment.register({ agent_id: `enrolled-${(enrolled += 1)}`, secret });
      return secret;
    },
  };
}

async function machineFrom(t: TestEnd, template: string): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-fault-'));
  await cp(template, folder, { recursive: true });
  for (const name of ['hub', 'a1']) await chmod(join(folder, name), 0o700);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, 'agentcom.config.ts');
  return {
    folder,
    config,
    database: join(folder, 'hub', 'agentcom.db'),
    hubDir: join(folder, 'hub'),
    sidecarDir: join(folder, 'a1'),
    async writeConfig({ hub, sidecar, imports = '' }) {
      const parts = [
        ...(hub === undefined || hub === null
          ? []
          : [`hub: { storage: sqlite({ file: 'agentcom.db' }), transport: ws(), dataDir: 'hub', ${hub} }`]),
        ...(sidecar === undefined || sidecar === null ? [] : [`sidecar: { agentId: 'a1', dataDir: 'a1', ${sidecar} }`]),
      ];
      await writeFile(
        config,
        `import { defineConfig, env } from 'agentcom';
import { postgres, sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
import { codex, command } from 'agentcom/runners';
${imports}
export default defineConfig({ ${parts.join(', ')} } as never);
`,
      );
    },
    doctor: (env = {}, ...options) => run(['doctor', ...options], { cwd: folder, env }),
  };
}

export async function listening<S extends Server>(t: TestEnd, server: S): Promise<S> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  return server;
}

/** A web server that is not a hub. */
export const webServer = async (t: TestEnd): Promise<number> => {
  const server = createHttpServer((_request, response) => response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>nginx</h1>'));
  t.teardown(() => server.closeAllConnections());
  return portOf(await listening(t, server));
};

/** A proxy as nginx is by default: it passes on plain requests, but no WebSockets. `host`: the name that it gives to the hub. */
export async function proxyServer(t: TestEnd, hubPort: number, host?: string): Promise<number> {
  const server = createHttpServer((request, response) => {
    const headers = host === undefined ? {} : { host };
    httpRequest({ port: hubPort, host: '127.0.0.1', method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    }).end();
  });
  t.teardown(() => server.closeAllConnections());
  return portOf(await listening(t, server));
}

/** TLS with a certificate that is not trusted anywhere. */
export async function tlsServer(t: TestEnd, folder: string): Promise<number> {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=127.0.0.1', '-days', '20'];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...newKey, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' });
  const server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
  });
  return portOf(await listening(t, server));
}

/** A hub that answers like one of another version: every `from` that it sends is replaced by `to`, which has the same length. */
export async function otherVersion(t: TestEnd, hubPort: number, from: string, to: string): Promise<number> {
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer((client) => {
    const upstream = connect(hubPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy()).on('close', () => [client, upstream].forEach((each) => each.destroy()));
    }
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => client.write(Buffer.from(chunk.toString('latin1').replace(from, to), 'latin1')));
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  return portOf(await listening(t, server));
}

export type Env = Readonly<Record<string, string>>;

export interface Fault {
  readonly name: string;
  /** Creates the fault; returns the environment of the doctor. */
  readonly plant: (machine: Machine, t: TestEnd) => Promise<Env | undefined | void>;
  readonly check: string;
  readonly severity?: 'notice';
  readonly found: RegExp;
  readonly hint: RegExp;
}

/** The options of a stopped hub, and of a sidecar whose hub listens on this port. */
export const HUB = `listen: { port: 0 }`;
export const hubsAt = (port: number, scheme = 'ws'): string => `hubs: ['${scheme}://127.0.0.1:${port}/ws']`;

export const onlyHub = (m: Machine, hubPart = HUB): Promise<void> => m.writeConfig({ hub: hubPart });
export const onlySidecar = (m: Machine, sidecar: string): Promise<void> => m.writeConfig({ sidecar });

/** Overwrites pages of a closed database. */
export async function destroyPages(file: string, ...pages: readonly number[]): Promise<void> {
  const handle = await open(file, 'r+');
  for (const page of pages) await handle.write(Buffer.alloc(4_096, 0xab), 0, 4_096, page * 4_096);
  await handle.close();
}
