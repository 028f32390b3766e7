/**
 * Caches where the hub of a config is, from the last evaluation of the config: an evaluation takes over a second, most commands a fifth of that.
 * Only for a config that depends on nothing but its own text and the variables that it reads with `env`; an entry is used only while these are
 * unchanged.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { VERSION } from '../../version.ts';
import type { StateFolder } from './state-folder.ts';

/** What commands need to know about the hub of a config. */
export interface HubPlace {
  readonly host: string;
  readonly port: number;
  readonly names: readonly string[];
  readonly dataDir: string;
  /** `hub.listen.tls.certFile`; null: plain HTTP. */
  readonly certFile: string | null;
  /** Whether the config has an admin token of its own, instead of the file in `dataDir`. */
  readonly hasToken: boolean;
}

interface KnownHub extends HubPlace {
  readonly file: string;
  /** The variables that the config read. */
  readonly variables: readonly string[];
  readonly salt: string;
  /** Digest of the config's text and the values of the variables. */
  readonly digest: string;
}

const NAME = 'hubs.json';
/** How many configs are kept, the latest first. */
const HUBS_MAX = 32;
const SALT_BYTES = 16;
const OWN_MODULES = /^agentcom(\/(storage|transport|runners|plugin))?$/;
/** Words that could make a config depend on something else. */
const DEPENDS = /\b(process|require|globalThis|eval|fetch|Date|random|await)\b|\bimport\s*\(/;

type Variables = Readonly<Record<string, string | undefined>>;

/** The cached hub, if it is still that of the config in this file; null if the config must be evaluated. */
export async function knownHub(folder: StateFolder, file: string, env: Variables): Promise<HubPlace | null> {
  const known = (await knownHubs(folder)).find((each) => each.file === file);
  if (known === undefined) return null;
  const text = await readFile(file, 'utf8');
  return digestOf(known.salt, text, known.variables, env) === known.digest ? known : null;
}

/** Caches the hub after `text` was evaluated with these variables. */
export async function keepHub(
  folder: StateFolder,
  file: string,
  text: string,
  read: ReadonlyMap<string, string | undefined>,
  { host, port, names, dataDir, certFile, hasToken }: HubPlace,
): Promise<void> {
  // A JavaScript config may get another instance of `env`, whose reads are not recorded.
  if (!file.endsWith('.ts') || !isSelfContained(text)) return;
  const salt = randomBytes(SALT_BYTES).toString('hex');
  const variables = [...read.keys()];
  const digest = digestOf(salt, text, variables, Object.fromEntries(read));
  const kept: KnownHub = { file, variables, salt, digest, host, port, names, dataDir, certFile, hasToken };
  const others = (await knownHubs(folder)).filter((each) => each.file !== file);
  await folder.write(NAME, { hubs: [kept, ...others].slice(0, HUBS_MAX) });
}

/** Whether evaluating it again gives the same result, as far as its text shows. */
function isSelfContained(text: string): boolean {
  const imported = [...text.matchAll(/\b(?:from|import)\s*(['"])(.*?)\1/g)].map(([, , name = '']) => name);
  return !DEPENDS.test(text) && imported.every((name) => OWN_MODULES.test(name));
}

function digestOf(salt: string, text: string, variables: readonly string[], env: Variables): string {
  const values = variables.map((name) => [name, env[name] ?? null]);
  return createHash('sha256')
    .update(JSON.stringify([VERSION, salt, text, values]))
    .digest('hex');
}

async function knownHubs(folder: StateFolder): Promise<readonly KnownHub[]> {
  const kept = await folder.read(NAME);
  const hubs = typeof kept === 'object' && kept !== null && 'hubs' in kept ? kept.hubs : null;
  return Array.isArray(hubs) ? hubs.filter(isKnownHub) : [];
}

const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((each) => typeof each === 'string');

function isKnownHub(value: unknown): value is KnownHub {
  if (typeof value !== 'object' || value === null) return false;
  const { file, variables, salt, digest, host, port, names, dataDir, certFile, hasToken } = value as Readonly<Record<string, unknown>>;
  const hasTexts = isTexts([file, salt, digest, host, dataDir]) && isTexts(variables) && isTexts(names);
  const hasCertFile = certFile === null || typeof certFile === 'string';
  return hasTexts && hasCertFile && Number.isInteger(port) && typeof hasToken === 'boolean';
}
