/** The secrets that a sidecar knows, from its config, its environment and its token. They are redacted from what its agent prints. */
import type { ResolvedSidecarConfig } from '../../core/config/config.ts';

/** Names of secrets, such as API_KEY, githubToken or Authorization. */
const SECRET_NAME = /(?:token|secret|passw(?:or)?d|passphrase|credentials?|authorization|api_?key|_key|Key|_pat|^key)$|secret|password/i;
/** Names in `env` whose values appear in results for other reasons. */
const PLAIN_NAME =
  /(?:^|_)(?:PATH|HOME|DIR|FOLDER|FILE|MODEL|LANG|SHELL|TERM|ENV|MODE|LEVEL|HOST|REGION|TZ|USER|NAME|EMAIL|URL|EDITOR|VERSION)$/;
/** Minimum lengths of a value whose name marks a secret, and of any other value in `env`. Shorter ones occur by chance. Characters. */
const NAMED_CHARACTERS_MIN = 6;
const SECRET_CHARACTERS_MIN = 8;
/** How deep the options of a wake runner are searched. */
const OPTIONS_DEPTH_MAX = 6;
/** The password in an address: `postgres://user:HERE@host`. */
const ADDRESS_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@:]*:([^\s/?#@]+)@/i;
/** `Authorization: Bearer HERE` */
const SCHEME = /^(?:Bearer|Basic|Token)\s+(\S+)$/i;

type Variables = Readonly<Record<string, string | undefined>>;

export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** The password in an address; null if there is none. */
export const passwordOf = (text: string): string | null => ADDRESS_PASSWORD.exec(text)?.[1] ?? null;

/** From the config, its wake runner's `env` and options, and the environment of this process. */
export function secretsOf({ wake }: Pick<ResolvedSidecarConfig, 'wake'>, token: string, environment: Variables): readonly string[] {
  const found = new Set<string>([token]);
  const add = (value: string, charactersMin: number): void => {
    for (const each of [value, SCHEME.exec(value)?.[1] ?? '', passwordOf(value) ?? '']) if (each.length >= charactersMin) found.add(each);
  };
  const look = (name: string, value: unknown, isEnv: boolean, depth: number): void => {
    if (typeof value === 'string') {
      if (isSecretName(name)) add(value, NAMED_CHARACTERS_MIN);
      else if (isEnv && !PLAIN_NAME.test(name) && !isPath(value)) add(value, SECRET_CHARACTERS_MIN);
      else addPassword(value);
    } else if (typeof value === 'object' && value !== null && depth < OPTIONS_DEPTH_MAX) {
      for (const [key, inner] of readableEntries(value)) look(Array.isArray(value) ? name : key, inner, name === 'env', depth + 1);
    }
  };
  const addPassword = (value: string): void => void add(passwordOf(value) ?? '', NAMED_CHARACTERS_MIN);
  look('', wake?.options ?? {}, false, 0);
  for (const [name, value = ''] of Object.entries(environment)) {
    if (isSecretName(name)) add(value, NAMED_CHARACTERS_MIN);
    else addPassword(value);
  }
  return [...found];
}

/** Without what throws when read. */
function readableEntries(value: object): readonly (readonly [string, unknown])[] {
  try {
    return Object.keys(value).flatMap((key) => readable(value as Readonly<Record<string, unknown>>, key));
  } catch {
    return [];
  }
}

function readable(value: Readonly<Record<string, unknown>>, key: string): readonly (readonly [string, unknown])[] {
  try {
    return [[key, value[key]]];
  } catch {
    return [];
  }
}

const isPath = (value: string): boolean => /^(?:~|\.{0,2})\/[^\s]*$/.test(value);
