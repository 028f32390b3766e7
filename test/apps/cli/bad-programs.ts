/** Programs that cannot run as configured, row by row: their configuration, how they end and what they print. */

export interface BadProgram {
  readonly name: string;
  readonly program: 'hub' | 'sidecar';
  /** Only with this storage. */
  readonly storage?: string;
  /** The source of the config file after its imports, or the name of an existing file. */
  readonly config: (world: {
    readonly dir: string;
    readonly port: number;
    readonly hubSource: string;
  }) => { readonly source: string } | { readonly file: string };
  readonly exitCode: number;
  readonly code: string;
  /** All of this occurs in the output, each once. */
  readonly says: readonly string[];
}

export const CONFIG_IMPORTS = `import { defineConfig } from 'agentcom';
import { postgres, sqlite } from 'agentcom/storage';
import { uws, ws } from 'agentcom/transport';
import { command } from 'agentcom/runners';
`;

const hub = (parts: string): { readonly source: string } => ({
  source: `export default defineConfig({ hub: { storage: sqlite({ file: 'hub.db' }), transport: ws(), ${parts} } });\n`,
});

/** A storage of another package, with this `create`. */
const storageOf = (create: string): string =>
  `{ port: 'storage', name: 'shelf', options: {}, capabilities: { durable: false, shared: false }, problems: () => [], create: ${create} }`;

export const BAD_PROGRAMS: readonly BadProgram[] = [
  {
    name: 'a config with mistakes',
    program: 'hub',
    config: () => ({
      source: `export default { hub: { storag: sqlite({ file: 'hub.db' }), transport: 'ws', listen: { port: 'x' }, timing: { leaseMs: -1, reconnectGraceMs: 5 } },
  sidecar: { hubs: [], agentId: 'A B', wake: command } };\n`,
    }),
    exitCode: 2,
    code: 'AC_CONFIG_INVALID',
    says: [
      ' has 9 mistakes:',
      '  hub.storag: there is no such option; did you mean "storage"?',
      '  hub.storage: is missing',
      '  hub.transport: expected ',
      '  hub.listen.port: expected ',
      '  hub.timing.leaseMs: expected ',
      '  hub.timing.reconnectGraceMs: expected ',
      '  sidecar.hubs: expected ',
      '  sidecar.agentId: expected ',
      '  sidecar.wake: expected ',
    ],
  },
  {
    name: 'listening beyond loopback without an admin token',
    program: 'hub',
    config: () => hub("listen: { host: '0.0.0.0', port: 0, insecure: true }, dataDir: 'open'"),
    exitCode: 2,
    code: 'AC_LISTEN_INSECURE',
    says: [
      ' has a mistake:',
      '  hub.adminToken: is missing; expected a secret, because hub.listen.host "0.0.0.0" accepts connections from other machines.',
    ],
  },
  {
    name: 'a storage that cannot be created',
    program: 'hub',
    config: () => hub(`listen: { port: 0 }, dataDir: 'thrown', storage: ${storageOf("() => { throw new Error('no such shelf'); }")}`),
    exitCode: 2,
    code: 'AC_PLUGIN_INVALID',
    says: ['The storage "shelf" cannot be created: its create() threw: no such shelf. ', 'Fix it, or the options in hub.storage.'],
  },
  {
    name: 'a storage that lacks what a hub calls',
    program: 'hub',
    config: () => hub(`listen: { port: 0 }, dataDir: 'lacks', storage: ${storageOf('async () => ({ tasks: {}, close() {} })')}`),
    exitCode: 2,
    code: 'AC_PLUGIN_INVALID',
    says: [
      'The storage "shelf" is invalid: expected an object with agents, events, output, audit, notifier, open(), healthy(), found { tasks, close }.',
    ],
  },
  {
    name: 'a busy port',
    program: 'hub',
    config: ({ port }) => hub(`listen: { port: ${port} }, dataDir: 'busy'`),
    exitCode: 3,
    code: 'AC_PORT_BUSY',
    says: ['another process uses this port. Stop it, or set another hub.listen.port (0 picks a free one).'],
  },
  {
    name: 'a data directory that cannot be written',
    program: 'hub',
    config: () => hub("listen: { port: 0 }, dataDir: 'a-file/hub'"),
    exitCode: 4,
    code: 'AC_DATA_DIR',
    says: ['Cannot create or write the data directory ', 'Fix its permissions, or set hub.dataDir'],
  },
  {
    name: 'a second hub on one database',
    program: 'hub',
    storage: 'sqlite',
    config: ({ hubSource }) => ({ source: hubSource.replace(/^import .*$/gm, '').replace(/port: \d+/, 'port: 0') }),
    exitCode: 5,
    code: 'AC_STORAGE_LOCKED',
    says: ['is in use by another hub'],
  },
  {
    name: 'a second sidecar in one data directory',
    program: 'sidecar',
    config: () => ({ file: 'good.config.mjs' }),
    exitCode: 5,
    code: 'AC_JOURNAL_LOCKED',
    says: ['Cannot use ', 'Stop it, or use a different dataDir (journalDir of a worker).'],
  },
];
