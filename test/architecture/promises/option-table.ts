/** The table of all config options, generated from its schemas and from what a config without options resolves to. */
import { POSTGRES_SCHEMA, settingsOf as postgresSettings } from '../../../adapters/storage-knex/postgres/options.ts';
import { settingsOf as uwsSettings } from '../../../adapters/transport-uws/settings.ts';
import { settingsOf as wsSettings } from '../../../adapters/transport-ws/settings.ts';
import { memory } from '../../../adapters/storages.ts';
import { ws } from '../../../adapters/transports.ts';
import { configSchema } from '../../../core/config/config-schema.ts';
import { resolveConfig } from '../../../core/config/resolve.ts';

/** The subset of JSON schema that the config's schemas use. */
interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
}

export interface OptionRow {
  readonly path: string;
  readonly isRequired: boolean;
  readonly wanted: string;
  /** As JSON; null if there is none. */
  readonly defaultText: string | null;
}

const AGENT_ID = 'agent-id';

/** What the hub and the sidecar use for options that are not set; undefined for required ones. */
function resolvedDefaults(): { readonly hub: object; readonly sidecar: object } {
  const given = { certFile: undefined, keyFile: undefined };
  const tls = { certFile: '/cert.pem', keyFile: '/key.pem' };
  const config = {
    hub: { storage: memory(), transport: ws(), listen: { tls } },
    sidecar: { hubs: ['ws://127.0.0.1:4000/ws'], agentId: AGENT_ID },
  };
  const resolved = resolveConfig(config, { baseDir: '/', absolute: (path) => path });
  if (resolved.kind === 'invalid') throw new Error(resolved.problems.map(({ message }) => message).join('\n'));
  const { hub, sidecar } = resolved.config;
  if (hub === undefined || sidecar === undefined) throw new Error('both were configured');
  // The options of hub.listen are among those of the hub once they are resolved.
  return {
    hub: { ...hub, storage: undefined, transport: undefined, listen: { ...hub, tls: { ...hub.tls, ...given } } },
    sidecar: { ...sidecar, hubs: undefined, agentId: undefined },
  };
}

const memberOf = (value: unknown, key: string): unknown => (value as Readonly<Record<string, unknown>> | null | undefined)?.[key];

function textOf(value: unknown): string | null {
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return null;
  return JSON.stringify(value).replaceAll(AGENT_ID, '<agentId>').replaceAll(',', ', ');
}

/** The options of an object, each followed by those inside it. */
function rowsOf(prefix: string, { properties = {}, required = [] }: Schema, defaults: unknown): readonly OptionRow[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const isRequired = required.includes(key);
    const value = memberOf(defaults, key);
    const path = `${prefix}${key}`;
    const within = [schema, ...(schema.anyOf ?? [])].find(({ properties }) => properties !== undefined);
    const inItems = schema.items?.properties === undefined ? [] : rowsOf(`${path}[].`, schema.items, null);
    const inObject = within === undefined ? [] : rowsOf(`${path}.`, within, value);
    // For an object, its options are enough.
    if (inObject.length > 0 && schema.anyOf === undefined) return inObject;
    return [{ path, isRequired, wanted: wantedOf(schema), defaultText: textOf(value) }, ...inItems, ...inObject];
  });
}

function wantedOf({ description, items, const: only }: Schema): string {
  if (only !== undefined) return JSON.stringify(only);
  const each = items?.properties === undefined ? items?.description : undefined;
  return [description ?? '', ...(each === undefined ? [] : [`each ${each}`])].join(', ');
}

const numbers = (call: string, defaults: object): readonly OptionRow[] =>
  Object.entries(defaults).map(([key, value]) => ({
    path: `${call}({ ${key} })`,
    isRequired: false,
    wanted: `a whole number${key.endsWith('Ms') ? ' of milliseconds' : ''} from 1 to 2147483647`,
    defaultText: textOf(value),
  }));

/** Every option of the config, and of the adapters that have several. */
export const optionRows = (): readonly OptionRow[] => [
  ...rowsOf('', configSchema as Schema, resolvedDefaults()),
  ...rowsOf('', POSTGRES_SCHEMA as Schema, { ...postgresSettings({ url: '' }), url: undefined }).map((row) => ({
    ...row,
    path: `postgres({ ${row.path} })`,
  })),
  ...numbers('ws', wsSettings({})),
  ...numbers('uws', uwsSettings({})),
];

export function optionTable(): string {
  const lines = optionRows().map(
    ({ path, isRequired, wanted, defaultText }) =>
      `| \`${path}\`${isRequired ? ' †' : ''} | ${wanted.replaceAll('|', '\\|').replaceAll('<', '&lt;')} | ${defaultText === null ? '' : `\`${defaultText}\``} |`,
  );
  return ['| option | wanted | default |', '|---|---|---|', ...lines].join('\n');
}
